//! Files of the web, as network files write them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::NetworkFileError;
use crate::config::{WebContent, WebFile};

/// Largest file of the web, in bytes: what the files of one machine may hold.
const LARGEST: u64 = 512 * 1024 * 1024;

/// A file of the web: its content by one of `text`, `file` and `size`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSource {
    /// Its text.
    pub text: Option<String>,
    /// A file of this computer, relative to the network file.
    pub file: Option<PathBuf>,
    /// So many bytes, all zero.
    pub size: Option<u64>,
    /// How long it takes to fetch it.
    #[serde(with = "crate::duration")]
    pub takes: Duration,
}

impl WebSource {
    /// The file at `url`.
    pub(super) fn file(self, url: &str, folder: &Path) -> Result<WebFile, NetworkFileError> {
        let bad = |why: String| NetworkFileError::Source {
            of: format!("`{url}` of the web"),
            why,
        };
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(bad("write the whole URL, with http:// or https://".into()));
        }
        let content = match (self.text, self.file, self.size) {
            (Some(text), None, None) => WebContent::Bytes(text.into()),
            (None, Some(file), None) => {
                let file = folder.join(file);
                let unreadable = |error| bad(format!("{}: {error}", file.display()));
                let size = std::fs::metadata(&file).map_err(unreadable)?.len();
                if size > LARGEST {
                    return Err(bad(format!(
                        "{} has more than {LARGEST} bytes",
                        file.display()
                    )));
                }
                WebContent::Bytes(std::fs::read(&file).map_err(unreadable)?.into())
            }
            (None, None, Some(size)) if size <= LARGEST => WebContent::Zeros(size),
            (None, None, Some(size)) => {
                return Err(bad(format!(
                    "`size` is {size}; it must be from 0 to {LARGEST}"
                )));
            }
            _ => return Err(bad("write one of text, file and size".into())),
        };
        Ok(WebFile {
            content,
            takes: self.takes,
        })
    }
}
