//! What a network is to be. Owns: what can be said of it, and its refusals before anything is asked.

use std::fmt;
use std::sync::Arc;

use super::Golem;
use crate::network::{Network, NetworkError, NetworkSpec};

/// Sets a network up; made by [`Golem::create_network`].
#[must_use = "nothing is created before `create()`"]
pub struct CreateNetwork {
    golem: Golem,
    ip: String,
    mask: Option<String>,
    gateway: Option<String>,
    owner_ip: Option<String>,
    name: Option<String>,
}

impl Golem {
    /// Creates a virtual private network, of which machines can be nodes. `ip` is its address, with the
    /// length of its netmask or without: `192.168.0.0/24`; without any mask an IPv4 network has 24 bits.
    ///
    /// ```no_run
    /// # async fn example(golem: golem_engine::Golem) -> Result<(), golem_engine::network::NetworkError> {
    /// let network = golem
    ///     .create_network("10.8.0.0")
    ///     .mask("255.255.0.0")
    ///     .owner_ip("10.8.0.2")
    ///     .create()
    ///     .await?;
    /// println!("we are {} in {}", network.owner_ip(), network.id());
    /// network.remove().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_network(&self, ip: impl Into<String>) -> CreateNetwork {
        CreateNetwork {
            golem: self.clone(),
            ip: ip.into(),
            mask: None,
            gateway: None,
            owner_ip: None,
            name: None,
        }
    }
}

impl CreateNetwork {
    /// The netmask, `255.255.255.0`, if the address has none.
    pub fn mask(mut self, mask: impl ToString) -> Self {
        self.mask = Some(mask.to_string());
        self
    }

    /// The gateway's address: no machine gets it. Without it machines have none, and the daemon counts the
    /// first address as such.
    pub fn gateway(mut self, gateway: impl ToString) -> Self {
        self.gateway = Some(gateway.to_string());
        self
    }

    /// The requestor's address; the first of the network unless set. The daemon keeps the first one for the
    /// requestor in each case.
    pub fn owner_ip(mut self, ip: impl ToString) -> Self {
        self.owner_ip = Some(ip.to_string());
        self
    }

    /// Goes on with the network that an earlier run of this program made under the same name, and left by a
    /// crash, if the daemon still has it; else creates it. With
    /// [`RunService::resume`](crate::service::RunService::resume) its instances are where they were. Needs
    /// a journal that outlives the process, and [`Recovery::Adopt`](crate::Recovery::Adopt); what is not
    /// claimed by its name within
    /// [`claim_within`](crate::recovery::RecoveryLimits::claim_within) is removed.
    pub fn resume(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Creates it at the daemon.
    ///
    /// # Errors
    /// [`NetworkError`]: an address, mask, gateway or owner that is none or does not fit, before anything is
    /// asked; [`NetworkError::NameInUse`]; [`NetworkError::Api`]; [`NetworkError::Stopped`].
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task; a network without a waiter is removed again.
    pub async fn create(self) -> Result<Network, NetworkError> {
        let spec = NetworkSpec::read(
            &self.ip,
            self.mask.as_deref(),
            self.gateway.as_deref(),
            self.owner_ip.as_deref(),
        )?
        .named(self.name);
        let networks = Arc::clone(&self.golem.engine().networks);
        let context = Arc::clone(networks.context());
        let creating = networks.create(spec);
        let created = context.tasks().run("create-network", creating).await;
        let created = created.map_err(|_| NetworkError::Stopped)??;
        created.claim().ok_or(NetworkError::Stopped)
    }
}

impl fmt::Debug for CreateNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateNetwork")
            .field("ip", &self.ip)
            .field("mask", &self.mask)
            .field("gateway", &self.gateway)
            .field("owner_ip", &self.owner_ip)
            .finish_non_exhaustive()
    }
}
