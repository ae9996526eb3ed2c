//! Network files: a whole simulated network as YAML, for `mock-yagna --scenario`.
//!
//! ```yaml
//! seed: 7
//! fleet: 4                         # well-behaved providers provider-1 … provider-4
//! providers:
//!   - name: bob
//!     prices: { cpu_sec: 0.0001 }
//!     behaviour: { approve_after: 30s, invoice_factor: 2 }
//! faults:
//!   - { on: confirmAgreement, do: lose_answer, count: 1 }
//! images:
//!   9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae: shell
//! web:
//!   "https://example.com/model.bin": { size: 10000000, takes: 20s }
//! latency: { deploy: 5s }
//! ```
//! Owns the grammar of what people write, for scenario files too: providers and groups of them
//! (`providers`) with numbers that they draw (`numbers`), images (`images`), files of the web (`web`), and how a
//! mistake is told (`mistake`). Every unknown key is an error with its line and column.

mod images;
mod mistake;
mod numbers;
mod providers;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use golem_wire::Glm;
use serde::Deserialize;
use serde_saphyr::Spanned;

pub use crate::control::{ACTS, ActDetails, ActName};
pub use crate::suggest::{hint, nearest};
pub use images::ImageSource;
pub use mistake::{Mistake, Unread, read, text};
pub use numbers::{Drawn, Number};
pub use providers::{Prices, ProviderGroup, Resources, check, draw};
pub use web::WebSource;

use crate::config::{
    AppKey, Config, DaemonVersion, Latency, MOST_PROVIDERS, ProviderSpec, impossible_amount,
};
use crate::fault::Fault;
use crate::rng::Seed;

/// Largest file that is read.
const LIMIT: u64 = 4 * 1024 * 1024;

/// The keys of a network file, for whoever gave something else.
const KEYS: &str = "seed, daemon, app_keys, allow_origins, fleet, providers, faults, images, default_image, web, latency, funds";

/// A network as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkFile {
    /// Seed of everything random; absent: the command line's.
    pub seed: Option<u64>,
    /// Which daemon is simulated, 0.17 or 0.18; absent: the command line's.
    pub daemon: Option<DaemonVersion>,
    /// Who may call; absent: the command line's keys.
    pub app_keys: Option<Vec<AppKey>>,
    /// Whose pages may call from a browser with any key; absent: the command line's.
    pub allow_origins: Option<Vec<String>>,
    /// How many well-behaved providers there are besides; absent: none if `providers` are listed,
    /// else the command line's number.
    pub fleet: Option<Spanned<u32>>,
    /// Providers.
    pub providers: Vec<ProviderGroup>,
    /// What goes wrong between the daemon and its clients.
    pub faults: Vec<Fault>,
    /// Images by hash, URL or file name.
    pub images: BTreeMap<String, ImageSource>,
    /// What any other image is; absent: the command line's.
    pub default_image: Option<ImageSource>,
    /// Files of the web by URL: what a `transfer` gets from there.
    pub web: BTreeMap<String, WebSource>,
    /// How long the daemon and the network take.
    pub latency: Option<Latency>,
    /// Money on each account of a requestor, in GLM.
    pub funds: Option<Spanned<Glm>>,
}

/// Why a network file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// Not readable.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a network.
    #[error("{file}:{line}:{column}: {message}")]
    Malformed {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// An image or a file of the web that there cannot be.
    #[error("{of}: {why}")]
    Source {
        /// Which: its key, with what it is.
        of: String,
        /// Why there is none.
        why: String,
    },
}

impl NetworkFile {
    /// Reads a network file.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn load(path: &Path) -> Result<NetworkFile, NetworkFileError> {
        let file = path.display().to_string();
        let text = text(path, LIMIT).map_err(|unread| match unread {
            Unread::Unreadable(source) => NetworkFileError::Unreadable {
                path: path.to_owned(),
                source,
            },
            Unread::NoText(mistake) => NetworkFileError::Malformed {
                file: file.clone(),
                line: mistake.line,
                column: mistake.column,
                message: no_network(&mistake.message),
            },
        })?;
        NetworkFile::parse(&text, &file)
    }

    /// Reads the text of a network file; `file` is what messages call it.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(text: &str, file: &str) -> Result<NetworkFile, NetworkFileError> {
        let malformed = |mistake: Mistake| NetworkFileError::Malformed {
            file: file.to_owned(),
            line: mistake.line.max(1),
            column: mistake.column.max(1),
            message: if mistake.is_foreign {
                no_network(&mistake.message)
            } else {
                mistake.message
            },
        };
        let read: NetworkFile = read(text).map_err(malformed)?;
        read.check().map_err(malformed)?;
        Ok(read)
    }

    /// What the shape of the file cannot say.
    fn check(&self) -> Result<(), Mistake> {
        if let Some(fleet) = &self.fleet
            && fleet.value as usize > MOST_PROVIDERS
        {
            let message = format!(
                "`fleet` is {}; it must be from 0 to {MOST_PROVIDERS}",
                fleet.value
            );
            return Err(Mistake::at(fleet.referenced, message));
        }
        if let Some(funds) = &self.funds {
            check_amount("funds", funds)?;
        }
        check(&self.providers).map(drop)
    }

    /// The network it describes; `base` says what it leaves open, relative folders begin at `folder`.
    ///
    /// # Errors
    /// When an image folder or a file does not exist, or is none that this program can use.
    pub fn config(self, base: Config, folder: &Path) -> Result<Config, NetworkFileError> {
        let seed = self.seed.map_or(base.seed, Seed::from_u64);
        let mut providers = match self.fleet {
            Some(count) => ProviderSpec::fleet(count.value as usize, seed),
            None if self.providers.is_empty() && self.seed.is_none() => base.providers,
            None if self.providers.is_empty() => ProviderSpec::fleet(base.providers.len(), seed),
            None => Vec::new(),
        };
        providers.extend(draw(&self.providers, seed));
        let mut images = base.images;
        for (name, source) in self.images {
            let of = format!("image `{name}`");
            let image = source.image(&of, folder)?;
            let image = image.ok_or_else(|| NetworkFileError::Source {
                of,
                why:
                    "`missing` is for `default_image`: an image that is not listed is missing then"
                        .into(),
            })?;
            images.insert(name, image);
        }
        let mut web = base.web;
        for (url, source) in self.web {
            let file = source.file(&url, folder)?;
            web.insert(url, file);
        }
        let default_image = match self.default_image {
            Some(source) => source.image("`default_image`", folder)?,
            None => base.default_image,
        };
        Ok(Config {
            seed,
            daemon: self.daemon.unwrap_or(base.daemon),
            app_keys: self.app_keys.unwrap_or(base.app_keys),
            allow_origins: self.allow_origins.unwrap_or(base.allow_origins),
            providers,
            images,
            default_image,
            web,
            platforms: base.platforms,
            accounts: base.accounts,
            funds: self.funds.map_or(base.funds, |funds| funds.value),
            latency: self.latency.unwrap_or(base.latency),
            faults: self.faults,
            inspector: base.inspector,
        })
    }
}

/// Checks an amount of GLM that somebody has or may spend.
///
/// # Errors
/// When there is no such amount.
pub fn check_amount(key: &str, amount: &Spanned<Glm>) -> Result<(), Mistake> {
    let at = amount.referenced;
    if amount.value < Glm::ZERO {
        let message = format!("`{key}` of {} GLM is negative", amount.value);
        return Err(Mistake::at(at, message));
    }
    match impossible_amount(amount.value) {
        Some(why) => Err(Mistake::at(at, format!("`{key}` of {why}"))),
        None => Ok(()),
    }
}

/// What is wrong, and what was expected in the file's place.
fn no_network(wrong: &str) -> String {
    format!(
        "{wrong} (a scenario file is YAML that describes a network with any of the keys {KEYS}; \
         `mock-yagna --help` shows one)"
    )
}

#[cfg(test)]
mod tests;
