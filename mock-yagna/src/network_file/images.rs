//! What runs when an image is deployed, as network files and scenario files write it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::NetworkFileError;
use crate::config::Image;
use crate::runtime::scripted::ScriptedAnswer;

/// What runs on a provider when the image is deployed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A tiny simulated shell.
    Shell,
    /// A program in Rust, in the network's own time. In scenario files only: `mock-yagna` has none.
    Program(Spanned<String>),
    /// The same program as real processes; where time is virtual, as with `program`.
    Processes(Spanned<String>),
    /// Real processes from an image folder, relative to the file: `<folder>/golem/run/x` is
    /// `/golem/run/x`. Real time only.
    Folder(Spanned<PathBuf>),
    /// There is none: `deploy` fails.
    Missing,
    /// Answers written here.
    Scripted(Vec<ScriptedAnswer>),
}

impl ImageSource {
    /// The image; `None`: there is none.
    pub(super) fn image(self, of: &str, folder: &Path) -> Result<Option<Image>, NetworkFileError> {
        let bad = |why: String| NetworkFileError::Source {
            of: of.to_owned(),
            why,
        };
        Ok(match self {
            ImageSource::Shell => Some(Image::Shell),
            ImageSource::Scripted(answers) => Some(Image::Scripted(answers)),
            ImageSource::Missing => None,
            ImageSource::Folder(dir) => {
                let dir = folder.join(dir.value);
                let found = dir.canonicalize().ok().filter(|dir| dir.is_dir());
                let dir = found.ok_or_else(|| bad(format!("{} is not a folder", dir.display())))?;
                Some(Image::Process { dir })
            }
            ImageSource::Program(name) | ImageSource::Processes(name) => {
                return Err(bad(format!(
                    "`{}` is a program of `rehearse`, which mock-yagna does not have; write shell, folder or scripted",
                    name.value
                )));
            }
        })
    }
}
