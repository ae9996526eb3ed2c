//! What a term is about: the name of a property, its aspect, and the type it is read as.

use std::fmt;

/// A property as a term names it: `name`, `name[aspect]`, `name$v`, `name[aspect]$v`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The name.
    pub name: String,
    /// An aspect of it. No property has any: the REST API does not tell them.
    pub aspect: Option<String>,
    /// What its text is read as.
    pub kind: Kind,
}

/// What the text of a property is read as before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What it is.
    Any,
    /// `$d`: a decimal number of any length.
    Decimal,
    /// `$v`: a version.
    Version,
    /// `$t`: a time.
    Time,
}

impl Property {
    /// The property of this name, as it is.
    pub fn named(name: &str) -> Property {
        Property {
            name: name.to_owned(),
            aspect: None,
            kind: Kind::Any,
        }
    }

    /// Reads a name of a term; says why in the daemon's words.
    pub(super) fn read(text: &str) -> Result<Property, String> {
        let delimiter = |c: char| matches!(c, '[' | ']' | '$');
        let split = |text: &str| {
            let at = text.find(delimiter).unwrap_or(text.len());
            let (before, after) = text.split_at(at);
            (before.to_owned(), after.to_owned())
        };
        let (name, rest) = split(text);
        if let Some(inside) = rest.strip_prefix('[') {
            let (aspect, after) = split(inside);
            if let Some(after) = after.strip_prefix(']') {
                let property = |kind| Property {
                    name: name.clone(),
                    aspect: Some(aspect.clone()),
                    kind,
                };
                match (after, kind(after)) {
                    ("", _) => return Ok(property(Kind::Any)),
                    ("$", _) => return Err(unexpected("aspect no type", after)),
                    (_, Some((kind, ""))) => return Ok(property(kind)),
                    (_, Some((_, more))) => return Err(unexpected("aspect type", more)),
                    (_, None) => {}
                }
            }
        }
        let property = |kind| Property {
            name: name.clone(),
            aspect: None,
            kind,
        };
        match (rest.as_str(), kind(&rest)) {
            ("", _) => Ok(property(Kind::Any)),
            (_, Some((kind, ""))) => Ok(property(kind)),
            (_, Some((_, more))) => Err(unexpected("no aspect type", more)),
            (rest, None) => Err(unexpected("no aspect no type", rest)),
        }
    }

    /// How it is written in a term.
    pub(super) fn written(&self) -> impl fmt::Display {
        let kind = match self.kind {
            Kind::Any => "",
            Kind::Decimal => "$d",
            Kind::Version => "$v",
            Kind::Time => "$t",
        };
        format!("{self}{kind}")
    }
}

/// The type that a text begins with, and what follows it.
fn kind(text: &str) -> Option<(Kind, &str)> {
    let code = text.strip_prefix('$')?;
    let kinds = [
        ('d', Kind::Decimal),
        ('v', Kind::Version),
        ('t', Kind::Time),
    ];
    let of = |(letter, kind)| Some((kind, code.strip_prefix(letter)?));
    kinds.into_iter().find_map(of)
}

fn unexpected(form: &str, rest: &str) -> String {
    format!("Parsing {form} error: unexpected text {rest}")
}

/// As the daemon names it when it is missing: without its type.
impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.aspect {
            Some(aspect) => write!(f, "[{aspect}]"),
            None => Ok(()),
        }
    }
}
