//! Ids in texts: finding them, masking them, and knowing which of ours stands for a recorded one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Which of our ids and event stamps stand for recorded ones.
#[derive(Debug, Default)]
pub struct Mapping {
    ids: BTreeMap<String, String>,
    reverse: BTreeMap<String, String>,
    stamps: BTreeMap<jiff::Timestamp, String>,
    /// What recorded documents demand, and ours in their place, by recorded id.
    amounts: BTreeMap<String, (String, String)>,
    /// The operation whose answers are learned from, and the one that showed a recorded id first.
    teacher: String,
    shown_by: BTreeMap<String, String>,
}

/// The places of ids in `text`: at least 32 hexadecimal digits in a row, or a UUID with dashes.
fn ids(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_uuid(&bytes[at..]) {
            found.push((at, at + 36));
            at += 36;
            continue;
        }
        let run = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_hexdigit())
            .count();
        if run >= 32 {
            found.push((at, at + run));
        }
        at += run.max(1);
    }
    found
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() >= 36
        && bytes[..36]
            .iter()
            .enumerate()
            .all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
        && bytes.get(36).is_none_or(|byte| !byte.is_ascii_hexdigit())
}

fn replace(text: &str, with: impl Fn(&str) -> String) -> String {
    let mut replaced = String::new();
    let mut end = 0;
    for (from, to) in ids(text) {
        replaced.push_str(&text[end..from]);
        replaced.push_str(&with(&text[from..to]));
        end = to;
    }
    replaced + &text[end..]
}

/// `text` with its ids replaced by their length, so that two kinds of id stay different.
pub fn mask(text: &str) -> String {
    replace(text, |id| format!("<{}>", id.len()))
}

/// Whether `text` is a point in time as the daemon prints it, with or without a zone.
pub fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || (text.len() > 18 && text.parse::<jiff::civil::DateTime>().is_ok())
}

impl Mapping {
    /// The answers of this operation are learned from next: a confusion names the one that showed an id first.
    pub fn hear(&mut self, operation: &str) {
        operation.clone_into(&mut self.teacher);
    }

    /// Learns from two answers to the same request, the recorded one and ours.
    pub fn learn(&mut self, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                self.learn_amount(recorded, ours);
                for (key, value) in recorded {
                    if let Some(our) = ours.get(key) {
                        self.learn(value, our);
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                for (recorded, ours) in recorded.iter().zip(ours) {
                    self.learn(recorded, ours);
                }
            }
            (Value::String(recorded), Value::String(ours))
                if is_time(recorded) && is_time(ours) =>
            {
                if let Ok(recorded) = recorded.parse() {
                    self.stamps.entry(recorded).or_insert_with(|| ours.clone());
                }
            }
            (Value::String(recorded), Value::String(ours)) => self.pair(recorded, ours),
            _ => {}
        }
    }

    fn pair(&mut self, recorded: &str, ours: &str) {
        if mask(recorded) != mask(ours) {
            return;
        }
        for ((from, to), (our_from, our_to)) in ids(recorded).into_iter().zip(ids(ours)) {
            let our = ours[our_from..our_to].to_owned();
            let recorded = recorded[from..to].to_owned();
            self.reverse
                .entry(our.clone())
                .or_insert_with(|| recorded.clone());
            if !self.teacher.is_empty() {
                let first = self.shown_by.entry(recorded.clone());
                first.or_insert_with(|| self.teacher.clone());
            }
            // One node stands for several providers, one after the other.
            if recorded.len() == 40 {
                self.ids.insert(recorded, our);
            } else {
                self.ids.entry(recorded).or_insert(our);
            }
        }
    }

    /// Whether equal recorded ids are different ones of ours, or the other way round. Node ids are
    /// exempt: the recorded provider's stands for several of ours, one after the other.
    pub fn confuses(&self, recorded: &str, ours: &str) -> Option<String> {
        let pairs = ids(recorded).into_iter().zip(ids(ours));
        let mut pairs = pairs.map(|((a, b), (c, d))| (&recorded[a..b], &ours[c..d]));
        pairs.find_map(|(recorded, our)| {
            let known = self.ids.get(recorded)?;
            let shown_by = self.shown_by.get(recorded);
            let by = shown_by.map_or_else(String::new, |first| format!(" in `{first}`"));
            (recorded.len() != 40 && known != our)
                .then(|| format!("{recorded} was {known}{by}, now {our}"))
                .or_else(|| {
                    let first = self.reverse.get(our)?;
                    (recorded.len() != 40 && first != recorded)
                        .then(|| format!("ours {our} was {first}, now {recorded}"))
                })
        })
    }

    fn learn_amount(&mut self, recorded: &Map<String, Value>, ours: &Map<String, Value>) {
        let id = recorded
            .get("invoiceId")
            .or_else(|| recorded.get("debitNoteId"));
        for key in ["amount", "totalAmountDue"] {
            let amounts = (recorded.get(key), ours.get(key));
            if let (
                Some(Value::String(id)),
                (Some(Value::String(recorded)), Some(Value::String(ours))),
            ) = (id, amounts)
            {
                self.amounts
                    .insert(id.clone(), (recorded.clone(), ours.clone()));
            }
        }
    }

    /// `text` with our amounts where it names those that the recorded documents grew to.
    pub fn with_our_amounts(&self, text: &str) -> String {
        let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        for word in &mut words {
            let known = self.amounts.values().find(|(recorded, _)| recorded == word);
            if let Some((_, ours)) = known {
                word.clone_from(ours);
            }
        }
        words.join(" ")
    }

    /// `body` of an acceptance with our amount where the recorded one accepts what it was asked for.
    pub fn translate_amount(&self, recorded_path: &str, body: &str) -> String {
        let id = recorded_path
            .strip_suffix("/accept")
            .and_then(|path| path.rsplit('/').next());
        let amounts = id.and_then(|id| self.amounts.get(id));
        let (Some((recorded, ours)), Ok(parsed)) = (amounts, serde_json::from_str::<Value>(body))
        else {
            return body.to_owned();
        };
        let number = |text: &str| text.parse::<f64>().ok();
        match parsed["totalAmountAccepted"].as_str() {
            Some(accepted) if number(accepted) == number(recorded) => {
                body.replace(&format!("\"{accepted}\""), &format!("\"{ours}\""))
            }
            _ => body.to_owned(),
        }
    }

    /// A recorded path or body as we would send it.
    pub fn translate(&self, recorded: &str) -> String {
        replace(recorded, |id| {
            self.ids.get(id).cloned().unwrap_or_else(|| id.to_owned())
        })
    }

    /// A recorded query as we would send it: times of events are our events' times.
    pub fn translate_query(&self, recorded: &str) -> String {
        let pairs = recorded.split('&').map(|pair| {
            let stamp = pair.split_once('=').and_then(|(key, value)| {
                let value = value.replace("%3A", ":").replace("%2B", "+");
                let ours = self.stamps.get(&value.parse().ok()?)?;
                Some(format!("{key}={}", ours.replace(':', "%3A")))
            });
            stamp.unwrap_or_else(|| self.translate(pair))
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confusion_names_the_operation_that_showed_the_id_first() {
        let id = |digit: &str| digit.repeat(32);
        let (theirs, first, second) = (id("a"), id("b"), id("c"));
        let mut mapping = Mapping::default();
        mapping.hear("getOffers");
        mapping.learn(&theirs.clone().into(), &first.clone().into());
        mapping.hear("getAgreement");
        mapping.learn(&theirs.clone().into(), &second.clone().into());
        assert_eq!(mapping.confuses(&theirs, &first), None);
        let told = mapping.confuses(&theirs, &second).map(|told| mask(&told));
        assert_eq!(
            told.as_deref(),
            Some("<32> was <32> in `getOffers`, now <32>")
        );
    }
}
