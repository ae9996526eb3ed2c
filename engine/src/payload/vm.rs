//! Payloads of the VM runtime. Owns: their properties and constraints. Does not own: the registry, images of this
//! computer (`local.rs`), what a manifest says (`manifest.rs`).

use std::fmt;
use std::path::PathBuf;

use golem_wire::props::{gpu, inf, runtime, srv};
use serde_json::Value;

use super::manifest::{self, Manifest};
use super::registry::PayloadError;
use super::{Constraint, Payload};

/// Which image a machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) source: ImageSource,
    /// Known place; without it the registry is asked, or the image is offered.
    pub(crate) url: Option<String>,
    /// Take the registry's `https` address.
    pub(crate) use_https: bool,
    /// A registry of its own.
    pub(crate) repository: Option<String>,
    /// Whether the registry is told that this is development.
    pub(crate) dev_mode: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageSource {
    Hash(String),
    Tag(String),
    /// A file of this computer.
    Local(PathBuf),
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            ImageSource::Hash(hash) => write!(f, "image {hash}")?,
            ImageSource::Tag(tag) => write!(f, "image {tag}")?,
            ImageSource::Local(path) => write!(f, "image {} of this computer", path.display())?,
        }
        match &self.url {
            Some(url) => write!(f, " at {url}"),
            None => Ok(()),
        }
    }
}

/// Resources that every VM payload asks for.
#[derive(Clone, Debug, PartialEq)]
struct Machine {
    min_mem_gib: f64,
    min_storage_gib: f64,
    min_cpu_threads: u32,
    min_cpu_cores: Option<u32>,
    capabilities: Vec<String>,
    runtime: String,
    min_runtime_version: Option<String>,
    gpu: Option<Gpu>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            min_mem_gib: 0.5,
            min_storage_gib: 2.0,
            min_cpu_threads: 1,
            min_cpu_cores: None,
            capabilities: Vec::new(),
            runtime: runtime::VM.into(),
            min_runtime_version: None,
            gpu: None,
        }
    }
}

impl Machine {
    fn payload(&self) -> Payload {
        let Machine {
            min_mem_gib,
            min_storage_gib,
            ..
        } = *self;
        let mut payload = Payload::new().property(srv::VM_PACKAGE_FORMAT, srv::GVMKIT_SQUASH);
        for (name, gib) in [(inf::MEM, min_mem_gib), (inf::STORAGE, min_storage_gib)] {
            if gib < 0.0 {
                let why = format!("{gib} GiB is less than nothing");
                let name = name.to_owned();
                payload = payload.with_fault(PayloadError::Value { name, why });
            }
            payload = payload.constraint(Constraint::ge(name, gib));
        }
        payload = payload
            .constraint(Constraint::ge(inf::THREADS, self.min_cpu_threads))
            .constraint(Constraint::eq(runtime::NAME, &self.runtime));
        if let Some(cores) = self.min_cpu_cores {
            payload = payload.constraint(Constraint::ge(inf::CORES, cores));
        }
        if let Some(version) = &self.min_runtime_version {
            let name = format!("{}$v", runtime::VERSION);
            payload = payload.constraint(Constraint::ge(name, version));
        }
        for capability in &self.capabilities {
            payload = payload.constraint(Constraint::eq(runtime::CAPABILITIES, capability));
        }
        match &self.gpu {
            Some(gpu) => payload.merge(gpu),
            None => payload,
        }
    }
}

/// A graphics processor that a machine must have; see [`VmRepo::gpu`].
///
/// ```
/// use golem_engine::payload::{Payload, vm};
///
/// let payload: Payload = vm::repo("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488")
///     .gpu(vm::Gpu::any().model("NVIDIA GeForce RTX *").min_memory_gib(8.0).min_cuda_version("12.0"))
///     .into();
/// assert!(payload.constraints().contains(&"(golem.runtime.name=vm-nvidia)".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    constraints: Vec<Constraint>,
}

impl Gpu {
    /// Any graphics processor that the runtime `vm-nvidia` tells of.
    pub fn any() -> Self {
        Gpu {
            constraints: vec![Constraint::present(gpu::MODEL)],
        }
    }

    fn with(mut self, constraint: Constraint) -> Self {
        self.constraints.push(constraint);
        self
    }

    /// Its model; `*` stands for any characters.
    pub fn model(self, model: impl AsRef<str>) -> Self {
        self.with(Constraint::like(gpu::MODEL, model))
    }

    /// Least memory of its own, in GiB.
    pub fn min_memory_gib(self, gib: f64) -> Self {
        self.with(Constraint::ge(gpu::MEMORY, gib))
    }

    /// Least number of CUDA cores.
    pub fn min_cuda_cores(self, cores: u32) -> Self {
        self.with(Constraint::ge(gpu::CUDA_CORES, cores))
    }

    /// Least version of CUDA that is sure to work, as `12.2`.
    pub fn min_cuda_version(self, version: impl AsRef<str>) -> Self {
        let name = format!("{}$d", gpu::CUDA_VERSION);
        self.with(Constraint::ge(name, version.as_ref()))
    }

    /// Least compute capability, as `8.6`.
    pub fn min_compute_capability(self, version: impl AsRef<str>) -> Self {
        let name = format!("{}$d", gpu::CUDA_COMPUTE_CAPABILITY);
        self.with(Constraint::ge(name, version.as_ref()))
    }
}

impl From<&Gpu> for Payload {
    fn from(gpu: &Gpu) -> Self {
        let constraints = gpu.constraints.iter().cloned();
        constraints.fold(Payload::new(), Payload::constraint)
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

        /// Least number of physical CPU cores; any unless set.
        pub fn min_cpu_cores(mut self, cores: u32) -> Self {
            self.machine.min_cpu_cores = Some(cores);
            self
        }

        /// The runtime, by its name; `vm` unless set.
        pub fn runtime(mut self, name: impl Into<String>) -> Self {
            self.machine.runtime = name.into();
            self
        }

        /// The least version of the runtime, as `0.4.0`; any unless set.
        pub fn min_runtime_version(mut self, version: impl Into<String>) -> Self {
            self.machine.min_runtime_version = Some(version.into());
            self
        }

        /// A graphics processor. The runtime is `vm-nvidia` then, unless it is [set](Self::runtime) afterwards.
        pub fn gpu(mut self, gpu: Gpu) -> Self {
            self.machine.runtime = runtime::VM_NVIDIA.into();
            self.machine.gpu = Some(gpu);
            self
        }

        /// Capabilities the runtime must have, such as `vpn`, `inet` or `manifest-support`; none unless set.
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

/// An image that is a file of this computer, as `gvmkit-build` makes it. When the job starts it is hashed and offered to
/// providers, over the daemon, until the job is over: this computer is where each machine gets it from.
/// The file has to stay as it is meanwhile: machines refuse another content. With [`VmRepo::image_url`] it only tells the
/// hash.
///
/// ```no_run
/// # async fn example(golem: golem_engine::Golem) -> Result<(), Box<dyn std::error::Error>> {
/// use golem_engine::payload::vm;
///
/// let machine = golem.one_of(vm::local("my-image.gvmi")).rent().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What is started with it is refused with [`PayloadError::LocalImage`] when there is no such file, when it is a folder,
/// and when it is empty.
pub fn local(path: impl Into<PathBuf>) -> VmRepo {
    VmRepo::new(ImageSource::Local(path.into()))
}

/// Builds the payload of an image; see [`repo`], [`tag`] and [`local`].
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
                repository: None,
                dev_mode: false,
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

    /// The registry in which the image is looked up, instead of the engine's
    /// ([`Config::registry_url`](crate::Config::registry_url)).
    pub fn repository_url(mut self, url: impl Into<String>) -> Self {
        self.image.repository = Some(url.into());
        self
    }

    /// Tells the registry that this is development: the image is not counted as used. Not unless set.
    pub fn dev_mode(mut self, dev_mode: bool) -> Self {
        self.image.dev_mode = dev_mode;
        self
    }

    machine_settings!();
}

impl From<VmRepo> for Payload {
    fn from(repo: VmRepo) -> Self {
        repo.machine.payload().with_image(repo.image)
    }
}

/// A payload described by a computation payload manifest: a [`Manifest`], its JSON, or that in base64.
///
/// ```
/// use golem_engine::payload::{Payload, manifest::Manifest, vm};
///
/// let manifest = Manifest::new()
///     .image("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488", ["http://example.org/image.gvmi"])
///     .command("run /bin/date .*")
///     .outbound_url("https://api.example.org");
/// let payload: Payload = vm::manifest(manifest).capabilities(["inet", "manifest-support"]).into();
/// assert!(payload.check().is_ok());
/// ```
///
/// A manifest that asks for the internet is taken by providers that trust who signed it
/// ([`signature`](VmManifest::signature)), whom a partner vouches for
/// ([`node_descriptor`](VmManifest::node_descriptor)), or all its addresses.
pub fn manifest(manifest: impl Into<ManifestText>) -> VmManifest {
    VmManifest {
        manifest: manifest.into(),
        signature: None,
        algorithm: None,
        certificate: None,
        descriptor: None,
        machine: Machine::default(),
    }
}

/// A manifest as providers get it.
#[derive(Clone, Debug, PartialEq)]
pub struct ManifestText {
    text: String,
    fault: Option<PayloadError>,
}

impl ManifestText {
    /// What is refused is kept as it was given, to be looked at.
    fn of(encoded: Result<String, PayloadError>, given: &str) -> Self {
        match encoded {
            Ok(text) => ManifestText { text, fault: None },
            Err(fault) => ManifestText {
                text: given.to_owned(),
                fault: Some(fault),
            },
        }
    }
}

impl From<&str> for ManifestText {
    fn from(text: &str) -> Self {
        ManifestText::of(manifest::encoded(text), text)
    }
}

impl From<String> for ManifestText {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Manifest> for ManifestText {
    fn from(manifest: &Manifest) -> Self {
        ManifestText::of(manifest.to_base64(), "")
    }
}

impl From<Manifest> for ManifestText {
    fn from(manifest: Manifest) -> Self {
        (&manifest).into()
    }
}

/// Builds the payload of a manifest; see [`manifest()`].
#[derive(Clone, Debug, PartialEq)]
pub struct VmManifest {
    manifest: ManifestText,
    signature: Option<String>,
    algorithm: Option<String>,
    certificate: Option<String>,
    descriptor: Option<Value>,
    machine: Machine,
}

impl VmManifest {
    /// Signature of the manifest's base64, in base64 itself. It needs its algorithm and certificate.
    pub fn signature(mut self, signature: impl Into<String>) -> Self {
        self.signature = Some(signature.into());
        self
    }

    /// Algorithm of the signature, such as `sha256`.
    pub fn signature_algorithm(mut self, algorithm: impl Into<String>) -> Self {
        self.algorithm = Some(algorithm.into());
        self
    }

    /// Certificate of the signature's key, DER or PEM, in base64.
    pub fn certificate(mut self, certificate: impl Into<String>) -> Self {
        self.certificate = Some(certificate.into());
        self
    }

    /// Has the manifest signed: `sign` gets its base64, byte by byte what the signature is to be of, and answers with the
    /// signature's bytes. `certificate` is that of the key, DER or PEM, as it is.
    ///
    /// ```
    /// use golem_engine::payload::{manifest::Manifest, vm};
    ///
    /// # fn ask_the_token(text: &[u8]) -> std::io::Result<Vec<u8>> { Ok(text.to_vec()) }
    /// let manifest = Manifest::new().image("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488", ["http://h/i"]);
    /// let certificate = b"-----BEGIN CERTIFICATE-----";
    /// let signed = vm::manifest(manifest).sign_with("sha256", certificate, |text| ask_the_token(text));
    /// ```
    ///
    /// # Errors
    /// What `sign` fails with is told as [`PayloadError::Manifest`] by whatever is started with it.
    pub fn sign_with<E: fmt::Display>(
        mut self,
        algorithm: impl Into<String>,
        certificate: impl AsRef<[u8]>,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Self {
        self.algorithm = Some(algorithm.into());
        self.certificate = Some(manifest::base64(certificate.as_ref()));
        match sign(self.manifest.text.as_bytes()) {
            Ok(signature) => self.signature = Some(manifest::base64(&signature)),
            Err(error) => {
                self.manifest.fault.get_or_insert(PayloadError::Manifest {
                    place: "signature".to_owned(),
                    why: error.to_string(),
                });
            }
        }
        self
    }

    /// A partner's signed descriptor of this requestor's node, instead of a signature: the whole document that the partner
    /// gave, an object.
    pub fn node_descriptor(mut self, descriptor: impl Into<Value>) -> Self {
        self.descriptor = Some(descriptor.into());
        self
    }

    machine_settings!();

    fn fault(&self) -> Option<PayloadError> {
        let given = [&self.signature, &self.algorithm, &self.certificate];
        let names = ["signature", "signature algorithm", "certificate"];
        let fault = |place: &str, why: String| {
            let place = place.to_owned();
            Some(PayloadError::Manifest { place, why })
        };
        if let Some(descriptor) = &self.descriptor {
            if !descriptor.is_object() {
                let why = "it is an object, the document that the partner gave".to_owned();
                return fault("node descriptor", why);
            }
            if let Some((_, name)) = given.iter().zip(names).find(|(it, _)| it.is_some()) {
                return fault(name, "with a node descriptor there is none".to_owned());
            }
        }
        let missing = given.iter().zip(names).find(|(it, _)| it.is_none());
        if let Some((_, name)) = missing
            && given.iter().any(|it| it.is_some())
        {
            let why = "a signature, its algorithm and its certificate come together".to_owned();
            return fault(name, why);
        }
        let texts = [
            ("signature", &self.signature),
            ("certificate", &self.certificate),
        ];
        texts.into_iter().find_map(|(name, text)| {
            let why = manifest::base64_fault(text.as_deref()?)?;
            fault(name, why)
        })
    }
}

impl From<VmManifest> for Payload {
    fn from(manifest: VmManifest) -> Self {
        let mut payload = manifest.machine.payload();
        let parts = manifest.fault();
        if let Some(fault) = manifest.manifest.fault.or(parts) {
            payload = payload.with_fault(fault);
        }
        payload
            .property(srv::PAYLOAD, manifest.manifest.text)
            .property_value(srv::PAYLOAD_SIG, &manifest.signature)
            .property_value(srv::PAYLOAD_SIG_ALGORITHM, &manifest.algorithm)
            .property_value(srv::PAYLOAD_CERT, &manifest.certificate)
            .property_value(srv::NODE_DESCRIPTOR, &manifest.descriptor)
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
            .certificate("Y2VydA==")
            .capabilities(["inet", "manifest-support"])
            .into();
        assert_eq!(payload.properties()[srv::PAYLOAD], "bWFu");
        assert_eq!(payload.properties()[srv::PAYLOAD_SIG], "c2ln");
        assert_eq!(payload.properties()[srv::PAYLOAD_SIG_ALGORITHM], "sha256");
        assert_eq!(payload.properties()[srv::PAYLOAD_CERT], "Y2VydA==");
        let asks = |capability| {
            let asked = format!("(golem.runtime.capabilities={capability})");
            payload.constraints().contains(&asked)
        };
        assert!(asks("inet") && asks("manifest-support"));
    }

    #[test]
    fn without_capabilities_a_manifest_asks_for_none() {
        let payload: Payload = manifest("bWFu").into();
        assert_eq!(
            payload.constraints(),
            [
                "(golem.inf.mem.gib>=0.5)",
                "(golem.inf.storage.gib>=2)",
                "(golem.inf.cpu.threads>=1)",
                "(golem.runtime.name=vm)",
            ]
        );
        assert_eq!(
            payload.properties()[srv::VM_PACKAGE_FORMAT],
            srv::GVMKIT_SQUASH
        );
    }

    #[test]
    fn a_graphics_processor_is_asked_for_by_what_it_has() {
        let gpu = Gpu::any()
            .model("NVIDIA RTX *")
            .min_memory_gib(8.0)
            .min_cuda_cores(4_000)
            .min_cuda_version("12.2")
            .min_compute_capability("8.6");
        let payload: Payload = repo("abc").gpu(gpu).min_cpu_cores(2).into();
        assert_eq!(payload.check(), Ok(()));
        assert_eq!(
            payload.constraints()[3..],
            [
                "(golem.runtime.name=vm-nvidia)",
                "(golem.inf.cpu.cores>=2)",
                "(golem.!exp.gap-35.v1.inf.gpu.model=*)",
                "(golem.!exp.gap-35.v1.inf.gpu.model=NVIDIA RTX *)",
                "(golem.!exp.gap-35.v1.inf.gpu.memory.total.gib>=8)",
                "(golem.!exp.gap-35.v1.inf.gpu.cuda.cores>=4000)",
                "(golem.!exp.gap-35.v1.inf.gpu.cuda.version$d>=12.2)",
                "(golem.!exp.gap-35.v1.inf.gpu.cuda.compute-capability$d>=8.6)",
            ]
        );
        let old: Payload = repo("abc")
            .min_runtime_version("0.4.0")
            .runtime("mine")
            .into();
        assert!(
            old.constraints()
                .contains(&"(golem.runtime.version$v>=0.4.0)".to_owned())
        );
        assert!(
            old.constraints()
                .contains(&"(golem.runtime.name=mine)".to_owned())
        );
    }

    #[test]
    fn resources_that_no_machine_has_are_refused() {
        for payload in [
            repo("abc").min_mem_gib(f64::NAN),
            repo("abc").min_storage_gib(-1.0),
            repo("abc").min_runtime_version("new"),
            repo("abc").gpu(Gpu::any().min_cuda_version("latest")),
            repo("abc").capabilities([""; 1]).runtime("a\u{1}"),
        ] {
            assert!(
                Payload::from(payload.clone()).check().is_err(),
                "{payload:?}"
            );
        }
    }
}
