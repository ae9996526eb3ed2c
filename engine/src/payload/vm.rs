//! Payloads of the VM runtime. Owns: their properties and constraints. Does not own: the registry.

use serde_json::Value;

use super::Payload;

/// Which image a machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) source: ImageSource,
    /// Known place; without it the registry is asked.
    pub(crate) url: Option<String>,
    /// Take the registry's `https` address.
    pub(crate) use_https: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageSource {
    Hash(String),
    Tag(String),
}

/// Resources that every VM payload asks for.
#[derive(Clone, Debug, PartialEq)]
struct Machine {
    min_mem_gib: f64,
    min_storage_gib: f64,
    min_cpu_threads: u32,
    capabilities: Vec<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            min_mem_gib: 0.5,
            min_storage_gib: 2.0,
            min_cpu_threads: 1,
            capabilities: Vec::new(),
        }
    }
}

impl Machine {
    fn payload(&self) -> Payload {
        let mut payload = Payload::new()
            .property("golem.srv.comp.vm.package_format", "gvmkit-squash")
            .constraint(format!("(golem.inf.mem.gib>={})", self.min_mem_gib))
            .constraint(format!("(golem.inf.storage.gib>={})", self.min_storage_gib))
            .constraint(format!("(golem.inf.cpu.threads>={})", self.min_cpu_threads))
            .constraint("(golem.runtime.name=vm)");
        for capability in &self.capabilities {
            payload = payload.constraint(format!("(golem.runtime.capabilities={capability})"));
        }
        payload
    }
}

macro_rules! machine_settings {
    () => {
        /// Least memory, in GiB; 0.5 unless set.
        pub fn min_mem_gib(mut self, gib: f64) -> Self {
            self.machine.min_mem_gib = gib;
            self
        }

        /// Least disk space, in GiB; 2 unless set.
        pub fn min_storage_gib(mut self, gib: f64) -> Self {
            self.machine.min_storage_gib = gib;
            self
        }

        /// Least number of logical CPU cores; 1 unless set.
        pub fn min_cpu_threads(mut self, threads: u32) -> Self {
            self.machine.min_cpu_threads = threads;
            self
        }

        /// Capabilities the runtime must have, such as `vpn`, `inet` or `manifest-support`.
        pub fn capabilities<C: Into<String>>(
            mut self,
            capabilities: impl IntoIterator<Item = C>,
        ) -> Self {
            self.machine.capabilities = capabilities.into_iter().map(Into::into).collect();
            self
        }
    };
}

/// An image named by its SHA3-224 hash. Unless [`VmRepo::image_url`] says where it is, the image
/// registry is asked when the job starts.
///
/// ```
/// # use golem_engine::payload::{Payload, vm};
/// let payload: Payload = vm::repo("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488")
///     .min_mem_gib(0.5)
///     .min_storage_gib(2.0)
///     .into();
/// ```
pub fn repo(image_hash: impl Into<String>) -> VmRepo {
    VmRepo::new(ImageSource::Hash(image_hash.into()))
}

/// An image named by its registry tag, `user/name:version`.
pub fn tag(image_tag: impl Into<String>) -> VmRepo {
    VmRepo::new(ImageSource::Tag(image_tag.into()))
}

/// Builds the payload of an image; see [`repo`] and [`tag`].
#[derive(Clone, Debug, PartialEq)]
pub struct VmRepo {
    image: Image,
    machine: Machine,
}

impl VmRepo {
    fn new(source: ImageSource) -> Self {
        VmRepo {
            image: Image {
                source,
                url: None,
                use_https: false,
            },
            machine: Machine::default(),
        }
    }

    /// Where the image is; no registry is asked then.
    pub fn image_url(mut self, url: impl Into<String>) -> Self {
        self.image.url = Some(url.into());
        self
    }

    /// Let providers fetch the image by HTTPS when the registry is asked.
    pub fn image_use_https(mut self, use_https: bool) -> Self {
        self.image.use_https = use_https;
        self
    }

    machine_settings!();
}

impl From<VmRepo> for Payload {
    fn from(repo: VmRepo) -> Self {
        repo.machine.payload().with_image(repo.image)
    }
}

/// A payload described by a base64 computation payload manifest.
pub fn manifest(manifest: impl Into<String>) -> VmManifest {
    VmManifest {
        properties: vec![("golem.srv.comp.payload", manifest.into())],
        machine: Machine {
            capabilities: vec!["manifest-support".into(), "inet".into()],
            ..Machine::default()
        },
    }
}

/// Builds the payload of a manifest; see [`manifest()`].
#[derive(Clone, Debug, PartialEq)]
pub struct VmManifest {
    properties: Vec<(&'static str, String)>,
    machine: Machine,
}

impl VmManifest {
    /// Signature of the base64 manifest.
    pub fn signature(mut self, signature: impl Into<String>) -> Self {
        self.properties
            .push(("golem.srv.comp.payload.sig", signature.into()));
        self
    }

    /// Algorithm of the signature, such as `sha256`.
    pub fn signature_algorithm(mut self, algorithm: impl Into<String>) -> Self {
        self.properties
            .push(("golem.srv.comp.payload.sig.algorithm", algorithm.into()));
        self
    }

    /// Base64 certificate of the signature's key.
    pub fn certificate(mut self, certificate: impl Into<String>) -> Self {
        self.properties
            .push(("golem.srv.comp.payload.cert", certificate.into()));
        self
    }

    machine_settings!();
}

impl From<VmManifest> for Payload {
    fn from(manifest: VmManifest) -> Self {
        manifest
            .properties
            .into_iter()
            .fold(manifest.machine.payload(), |payload, (key, value)| {
                payload.property(key, Value::from(value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repo_payload_asks_for_the_vm_runtime_and_its_resources() {
        let payload: Payload = repo("abc").min_mem_gib(0.5).capabilities(["vpn"]).into();
        assert_eq!(
            payload.constraints(),
            [
                "(golem.inf.mem.gib>=0.5)",
                "(golem.inf.storage.gib>=2)",
                "(golem.inf.cpu.threads>=1)",
                "(golem.runtime.name=vm)",
                "(golem.runtime.capabilities=vpn)",
            ]
        );
    }

    #[test]
    fn a_manifest_payload_carries_manifest_and_signature() {
        let payload: Payload = manifest("bWFu")
            .signature("c2ln")
            .signature_algorithm("sha256")
            .into();
        assert_eq!(payload.properties()["golem.srv.comp.payload"], "bWFu");
        assert_eq!(payload.properties()["golem.srv.comp.payload.sig"], "c2ln");
        assert!(
            payload
                .constraints()
                .iter()
                .any(|c| c.contains("=manifest-support)"))
        );
    }
}
