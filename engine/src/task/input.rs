//! What a list of tasks is made of: anything that gives one item after the other, now or later.

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

/// Marks input that is iterated over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Iterated;

/// Marks input that comes over time.
#[derive(Debug)]
#[non_exhaustive]
pub struct Streamed;

/// Data for tasks: whatever can be iterated over, and every [`Stream`]. `Kind` is found by the
/// compiler; it tells the two apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no input for tasks",
    note = "an iterator or a stream that is `Send + 'static` is"
)]
pub trait TaskInput<Kind> {
    /// What to work on.
    type Item: Send + 'static;

    /// The items as they come.
    fn into_stream(self) -> BoxStream<'static, Self::Item>;
}

impl<I> TaskInput<Iterated> for I
where
    I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
{
    type Item = I::Item;

    fn into_stream(self) -> BoxStream<'static, Self::Item> {
        stream::iter(self).boxed()
    }
}

impl<S> TaskInput<Streamed> for S
where
    S: Stream<Item: Send + 'static> + Send + 'static,
{
    type Item = S::Item;

    fn into_stream(self) -> BoxStream<'static, Self::Item> {
        self.boxed()
    }
}

/// How many items there are to come, if the input knows and it is no more than this: only then can
/// each that was not taken be told of.
const MAX_KNOWN: usize = 1_000_000;

/// The number of items, as far as the input itself says.
pub(super) fn known_length<D>(input: &BoxStream<'static, D>) -> Option<usize> {
    match input.size_hint() {
        (least, Some(most)) if least == most && most <= MAX_KNOWN => Some(most),
        _ => None,
    }
}
