//! Words of the daemon's JSON reader, where a newer one says the same otherwise.

use golem_wire::Glm;

/// A message of our reader in the words of the daemon's: `1.8e19`, where ours says `1.8e+19`; another word for
/// a bad amount.
pub(crate) fn plain(message: String) -> String {
    if let Some((text, place)) = message.rsplit_once("` is not an amount of GLM") {
        let text = text.split_once('`').map_or(text, |(_, text)| text);
        let refusal = Glm::refusal(text);
        let refusal = refusal
            .as_deref()
            .unwrap_or("invalid digit found in string");
        return format!("{refusal}{place}");
    }
    const FLOAT: &str = "floating point `";
    let Some(at) = message.find(FLOAT).map(|at| at + FLOAT.len()) else {
        return message;
    };
    let (before, number) = message.split_at(at);
    format!("{before}{}", number.replacen("e+", "e", 1))
}
