//! Arguments of programs, given as a list.

/// A list of arguments: an array of up to 32 texts, a vector, or a slice. An empty one is `[]`. For an
/// iterator there is [`Run::args`](super::Run::args).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of arguments",
    note = "arrays of up to 32 texts, vectors and slices are; for an iterator use `command(program).args(iterator)`"
)]
pub trait Args {
    /// The arguments as owned texts.
    fn into_args(self) -> Vec<String>;
}

/// The only empty array, so that `[]` needs no type.
impl Args for [&str; 0] {
    fn into_args(self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! arrays {
    ($($length:literal)*) => {$(
        impl<T: Into<String>> Args for [T; $length] {
            fn into_args(self) -> Vec<String> {
                self.into_iter().map(Into::into).collect()
            }
        }
    )*};
}

arrays!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);

impl<T: Into<String>> Args for Vec<T> {
    fn into_args(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: AsRef<str>> Args for &[T] {
    fn into_args(self) -> Vec<String> {
        self.iter().map(|text| text.as_ref().to_owned()).collect()
    }
}

impl<T: AsRef<str>> Args for &Vec<T> {
    fn into_args(self) -> Vec<String> {
        self.as_slice().into_args()
    }
}

impl<T: AsRef<str>, const N: usize> Args for &[T; N] {
    fn into_args(self) -> Vec<String> {
        self.as_slice().into_args()
    }
}
