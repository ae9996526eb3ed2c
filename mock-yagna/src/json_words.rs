//! Words of the daemon's JSON reader, where a newer one says the same otherwise.

/// A message of our reader in the words of the daemon's: `1.8e19`, where ours says `1.8e+19`; another word for
/// a bad amount.
pub(crate) fn plain(message: String) -> String {
    if let Some((_, place)) = message.rsplit_once("is not an amount of GLM") {
        return format!("invalid digit found in string{place}");
    }
    const FLOAT: &str = "floating point `";
    let Some(at) = message.find(FLOAT).map(|at| at + FLOAT.len()) else {
        return message;
    };
    let (before, number) = message.split_at(at);
    format!("{before}{}", number.replacen("e+", "e", 1))
}
