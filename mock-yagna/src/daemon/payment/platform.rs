//! Payment platforms as requests name them: `<driver>-<network>-<token>`, an object, or nothing.

use serde::{Deserialize, Serialize};

use crate::config::Platform;

/// A platform as a request names it; what is missing takes the daemon's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum PlatformRequest {
    /// `<driver>-<network>-<token>`.
    Name(String),
    /// By parts.
    Parts {
        /// Payment driver.
        driver: Option<String>,
        /// Payment network.
        network: Option<String>,
        /// Token.
        token: Option<String>,
    },
}

/// Why a platform was refused, in the daemon's words. The number tells a name (2) from parts (1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlatformError {
    /// Not three words with dashes between them.
    #[error("paymentPlatform must be of the form driver-network-token instead of {0}")]
    Form(String),
    /// No such driver.
    #[error("Validate driver failed ({0}): Invalid driver name: {1}")]
    Driver(u8, String),
    /// No such network.
    #[error("Validate network failed ({0}): Invalid network name: {1}")]
    Network(u8, String),
    /// The network has another token.
    #[error(
        "Validate token failed ({from}): Token {given} does not match expected token {expected} \
         for driver {driver} and network {network}. Note that for test networks expected token \
         name is tglm and for production networks it is glm"
    )]
    Token {
        /// Name (2) or parts (1).
        from: u8,
        /// What the request says.
        given: String,
        /// What the network has.
        expected: String,
        /// The driver.
        driver: String,
        /// The network.
        network: String,
    },
}

/// Finds the platform that `request` means among those of the daemon; the first is the default.
///
/// # Errors
/// When the name does not parse, or names a driver, network or token that the daemon does not have.
pub(crate) fn resolve<'a>(
    known: &'a [Platform],
    request: Option<&PlatformRequest>,
) -> Result<&'a Platform, PlatformError> {
    let (from, driver, network, token) = match request {
        None => (1, None, None, None),
        Some(PlatformRequest::Parts {
            driver,
            network,
            token,
        }) => (1, driver.as_deref(), network.as_deref(), token.as_deref()),
        Some(PlatformRequest::Name(name)) => {
            let mut words = name.split('-');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(driver), Some(network), Some(token), None) => {
                    (2, Some(driver), Some(network), Some(token))
                }
                _ => return Err(PlatformError::Form(name.clone())),
            }
        }
    };
    let default = known.first();
    let driver = driver
        .or_else(|| default.map(|p| p.driver.as_str()))
        .unwrap_or("erc20");
    let of_driver = || {
        known
            .iter()
            .filter(|p| p.driver.eq_ignore_ascii_case(driver))
    };
    if of_driver().next().is_none() {
        return Err(PlatformError::Driver(from, driver.to_owned()));
    }
    let network = network
        .or_else(|| default.map(|p| p.network.as_str()))
        .unwrap_or("holesky");
    let platform = of_driver()
        .find(|p| p.network.eq_ignore_ascii_case(network))
        .ok_or_else(|| PlatformError::Network(from, network.to_owned()))?;
    match token {
        Some(given) if !given.eq_ignore_ascii_case(&platform.token) => Err(PlatformError::Token {
            from,
            given: given.to_owned(),
            expected: platform.token.to_lowercase(),
            driver: platform.driver.clone(),
            network: platform.network.clone(),
        }),
        _ => Ok(platform),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_name_a_platform_or_get_the_default() {
        let known = Platform::usual();
        let table = [
            (json!(null), Ok("erc20-holesky-tglm")),
            (json!({}), Ok("erc20-holesky-tglm")),
            (json!({ "network": "polygon" }), Ok("erc20-polygon-glm")),
            (
                json!({ "driver": "erc20", "network": "hoodi", "token": "tglm" }),
                Ok("erc20-hoodi-tglm"),
            ),
            (json!("erc20-holesky-tglm"), Ok("erc20-holesky-tglm")),
            (
                json!("nope"),
                Err("paymentPlatform must be of the form driver-network-token instead of nope"),
            ),
            (
                json!("erc20-nope-tglm"),
                Err("Validate network failed (2): Invalid network name: nope"),
            ),
            (
                json!({ "network": "nope" }),
                Err("Validate network failed (1): Invalid network name: nope"),
            ),
            (
                json!({ "network": "holesky", "token": "glm" }),
                Err(
                    "Validate token failed (1): Token glm does not match expected token tglm for \
                     driver erc20 and network holesky. Note that for test networks expected token \
                     name is tglm and for production networks it is glm",
                ),
            ),
        ];
        for (request, expected) in table {
            let parsed: Option<PlatformRequest> =
                serde_json::from_value(request.clone()).expect("request");
            let found = resolve(&known, parsed.as_ref())
                .map(Platform::name)
                .map_err(|e| e.to_string());
            assert_eq!(
                found,
                expected.map(String::from).map_err(String::from),
                "{request}"
            );
        }
    }
}
