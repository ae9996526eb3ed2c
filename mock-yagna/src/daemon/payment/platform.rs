//! Payment platforms as requests name them: `<driver>-<network>-<token>`, an object, or nothing.

use serde::{Deserialize, Serialize};

use crate::config::Platform;

/// A platform as a request names it; what is missing takes the daemon's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum PaymentPlatformEnum {
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
    #[error("Validate driver failed ({0}): Invalid driver name {1}")]
    Driver(u8, String),
    /// No such network.
    #[error("Validate network failed ({0}): Invalid network name: {1}")]
    Network(u8, String),
    /// A network of old.
    #[error("Validate network failed ({0}): Rinkeby is no longer supported")]
    Rinkeby(u8),
    /// Tokens are spelt in small letters. The number is missing where the token came alone.
    #[error("{0}Uppercase token names are not supported. Use lowercase glm or tglm instead of {1}")]
    Uppercase(&'static str, String),
    /// No such token.
    #[error("Only glm or tglm token values are accepted vs {0} provided")]
    NoToken(String),
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

/// Networks of the daemon's driver beside those that are configured: it has an account there once it is asked.
const OTHERS: [(&str, &str); 8] = [
    ("holesky", "tGLM"),
    ("polygon", "GLM"),
    ("hoodi", "tGLM"),
    ("amoy", "tGLM"),
    ("mainnet", "GLM"),
    ("sepolia", "tGLM"),
    ("goerli", "tGLM"),
    ("mumbai", "tGLM"),
];

/// The network of a token that is named without one and is not the default's.
const OF_TOKENS: [(&str, &str); 2] = [("glm", "polygon"), ("tglm", "holesky")];

/// All platforms of the daemon, those that are configured first.
fn all(configured: &[Platform]) -> impl Iterator<Item = Platform> {
    let others = OTHERS.map(|(network, token)| Platform::erc20(network, token));
    configured.iter().cloned().chain(others)
}

/// Whether the daemon has such a network and such a driver.
pub(crate) fn is_known(
    configured: &[Platform],
    network: Option<&str>,
    driver: Option<&str>,
) -> bool {
    network.is_none_or(|network| all(configured).any(|it| it.network == network))
        && driver.is_none_or(|driver| all(configured).any(|it| it.driver == driver))
}

/// Finds the platform that `request` means among those of the daemon; the first is the default. Names are
/// spelt as the daemon spells them.
///
/// # Errors
/// When the name does not parse, or names a driver, network or token that the daemon does not have.
pub(crate) fn resolve(
    configured: &[Platform],
    request: Option<&PaymentPlatformEnum>,
) -> Result<Platform, PlatformError> {
    let (from, driver, network, token) = match request {
        None => (1, None, None, None),
        Some(PaymentPlatformEnum::Parts {
            driver,
            network,
            token,
        }) => (1, driver.as_deref(), network.as_deref(), token.as_deref()),
        Some(PaymentPlatformEnum::Name(name)) => {
            let mut words = name.split('-');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(driver), Some(network), Some(token), None) => {
                    (2, Some(driver), Some(network), Some(token))
                }
                _ => return Err(PlatformError::Form(name.clone())),
            }
        }
    };
    let default = configured.first();
    if let Some(network) = network {
        if network == "rinkeby" {
            return Err(PlatformError::Rinkeby(from));
        }
        if !all(configured).any(|it| it.network == network) {
            return Err(PlatformError::Network(from, network.to_owned()));
        }
    }
    if let Some(driver) = driver
        && !all(configured).any(|it| it.driver == driver)
    {
        return Err(PlatformError::Driver(from, driver.to_owned()));
    }
    if let Some(token) = token {
        let place = match (network, from) {
            (None, _) => "",
            (Some(_), 1) => "Validate token failed (1): ",
            (Some(_), _) => "Validate token failed (2): ",
        };
        let small = token.to_lowercase();
        let is_token = matches!(small.as_str(), "glm" | "tglm");
        if is_token && small != token {
            return Err(PlatformError::Uppercase(place, token.to_owned()));
        }
        if !is_token && network.is_none() {
            return Err(PlatformError::NoToken(token.to_owned()));
        }
    }
    let driver = driver.or_else(|| default.map(|p| p.driver.as_str()));
    let driver = driver.unwrap_or("erc20").to_owned();
    let network = network.or_else(|| match (token, default) {
        (Some(token), Some(default)) if token != default.token.to_lowercase() => OF_TOKENS
            .iter()
            .find(|(of, _)| *of == token)
            .map(|(_, network)| *network),
        (_, default) => default.map(|p| p.network.as_str()),
    });
    let network = network.unwrap_or("holesky").to_owned();
    let mut found = all(configured).filter(|it| it.driver == driver && it.network == network);
    let platform = found.next();
    let platform = platform.ok_or_else(|| PlatformError::Network(from, network.clone()))?;
    match token {
        Some(given) if given != platform.token.to_lowercase() => Err(PlatformError::Token {
            from,
            given: given.to_owned(),
            expected: platform.token.to_lowercase(),
            driver,
            network,
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
            (json!({ "token": "tglm" }), Ok("erc20-holesky-tglm")),
            (json!({ "token": "glm" }), Ok("erc20-polygon-glm")),
            (json!("erc20-sepolia-tglm"), Ok("erc20-sepolia-tglm")),
            (
                json!("ERC20-HOLESKY-TGLM"),
                Err("Validate network failed (2): Invalid network name: HOLESKY"),
            ),
            (
                json!({ "driver": "ERC20" }),
                Err("Validate driver failed (1): Invalid driver name ERC20"),
            ),
            (
                json!({ "driver": "erc20", "network": "holesky", "token": "tGLM" }),
                Err(
                    "Validate token failed (1): Uppercase token names are not supported. Use lowercase \
                     glm or tglm instead of tGLM",
                ),
            ),
            (
                json!({ "token": "tGLM" }),
                Err(
                    "Uppercase token names are not supported. Use lowercase glm or tglm instead of tGLM",
                ),
            ),
            (
                json!({ "token": "x" }),
                Err("Only glm or tglm token values are accepted vs x provided"),
            ),
            (
                json!("zksync-rinkeby-tglm"),
                Err("Validate network failed (2): Rinkeby is no longer supported"),
            ),
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
            let parsed: Option<PaymentPlatformEnum> =
                serde_json::from_value(request.clone()).expect("request");
            let found = resolve(&known, parsed.as_ref())
                .map(|platform| platform.name())
                .map_err(|e| e.to_string());
            assert_eq!(
                found,
                expected.map(String::from).map_err(String::from),
                "{request}"
            );
        }
    }
}
