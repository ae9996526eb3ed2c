//! Names of well-known properties of demands and offers, by the namespaces of the Golem standards.
//!
//! Owns the names and the values that are words. Does not own: the types of their values, and what follows from
//! them. Sources: the Golem Computing Resource Standards (GAP-2 and later), and the offers and demands of yagna
//! 0.17.6. A name that ends with `?` is negotiable: each side says what it wants, and an agreement has what both
//! said alike.

/// Nodes: `golem.node`.
pub mod node {
    /// What the node is called by its owner. Text; offers and demands.
    pub const NAME: &str = "golem.node.id.name";
    /// The part of the network that it is in. Text; offers and demands.
    pub const SUBNET: &str = "golem.node.debug.subnet";
    /// Whether it can be reached from outside without a relay. Truth value; offers.
    pub const IS_PUBLIC: &str = "golem.node.net.is-public";
}

/// What a machine has: `golem.inf`. Offers.
pub mod inf {
    /// Memory in GiB. Number.
    pub const MEM: &str = "golem.inf.mem.gib";
    /// Disk space in GiB. Number.
    pub const STORAGE: &str = "golem.inf.storage.gib";
    /// Cores of the processor. Number.
    pub const CORES: &str = "golem.inf.cpu.cores";
    /// Logical cores of the processor. Number.
    pub const THREADS: &str = "golem.inf.cpu.threads";
    /// `x86_64` and such. Text.
    pub const CPU_ARCHITECTURE: &str = "golem.inf.cpu.architecture";
    /// The processor's name. Text.
    pub const CPU_BRAND: &str = "golem.inf.cpu.brand";
    /// Model, family and stepping of the processor. Text.
    pub const CPU_MODEL: &str = "golem.inf.cpu.model";
    /// Who made the processor. Text.
    pub const CPU_VENDOR: &str = "golem.inf.cpu.vendor";
    /// Instruction sets that it knows, such as `avx2`. List of texts.
    pub const CPU_CAPABILITIES: &str = "golem.inf.cpu.capabilities";
}

/// A graphics processor: `golem.!exp.gap-35.v1.inf.gpu` (GAP-35, experimental). Offers.
pub mod gpu {
    /// Its name, such as `NVIDIA GeForce RTX 3090`. Text.
    pub const MODEL: &str = "golem.!exp.gap-35.v1.inf.gpu.model";
    /// Its memory in GiB. Number.
    pub const MEMORY: &str = "golem.!exp.gap-35.v1.inf.gpu.memory.total.gib";
    /// What its memory moves at the most, in GiB per second. Number; may be missing.
    pub const MEMORY_BANDWIDTH: &str = "golem.!exp.gap-35.v1.inf.gpu.memory.bandwidth.gib";
    /// Whether there is CUDA. Truth value.
    pub const CUDA_ENABLED: &str = "golem.!exp.gap-35.v1.inf.gpu.cuda.enabled";
    /// How many CUDA cores it has. Number.
    pub const CUDA_CORES: &str = "golem.!exp.gap-35.v1.inf.gpu.cuda.cores";
    /// The CUDA version that is sure to work, as `12.2`. Text.
    pub const CUDA_VERSION: &str = "golem.!exp.gap-35.v1.inf.gpu.cuda.version";
    /// Its compute capability, as `8.6`. Text.
    pub const CUDA_COMPUTE_CAPABILITY: &str =
        "golem.!exp.gap-35.v1.inf.gpu.cuda.compute-capability";
    /// The most of the graphics clock, in MHz. Number.
    pub const CLOCK_GRAPHICS: &str = "golem.!exp.gap-35.v1.inf.gpu.clocks.graphics.mhz";
    /// The most of the memory clock, in MHz. Number.
    pub const CLOCK_MEMORY: &str = "golem.!exp.gap-35.v1.inf.gpu.clocks.memory.mhz";
    /// The most of the clock of its multiprocessors, in MHz. Number.
    pub const CLOCK_SM: &str = "golem.!exp.gap-35.v1.inf.gpu.clocks.sm.mhz";
    /// The most of the video clock, in MHz. Number.
    pub const CLOCK_VIDEO: &str = "golem.!exp.gap-35.v1.inf.gpu.clocks.video.mhz";
}

/// What runs the payload: `golem.runtime`. Offers.
pub mod runtime {
    /// Its name: [`VM`], [`VM_NVIDIA`] or another. Text.
    pub const NAME: &str = "golem.runtime.name";
    /// Its version, as `0.4.2`. Text; compared as a version with `$v` behind the name.
    pub const VERSION: &str = "golem.runtime.version";
    /// What it can do: [`VPN`], [`INET`], [`MANIFEST_SUPPORT`] and such. List of texts.
    pub const CAPABILITIES: &str = "golem.runtime.capabilities";

    /// The runtime of virtual machines.
    pub const VM: &str = "vm";
    /// The runtime of virtual machines with a graphics processor.
    pub const VM_NVIDIA: &str = "vm-nvidia";
    /// The capability to be in virtual networks.
    pub const VPN: &str = "vpn";
    /// The capability to reach the internet.
    pub const INET: &str = "inet";
    /// The capability to run what a manifest says.
    pub const MANIFEST_SUPPORT: &str = "manifest-support";
}

/// What is to be run: `golem.srv`.
pub mod srv {
    /// Until when agreements on the demand may last, in milliseconds since 1970. Number; demands.
    pub const EXPIRATION: &str = "golem.srv.comp.expiration";
    /// The image, `hash:sha3:<hash>:<url>`. Text; demands.
    pub const TASK_PACKAGE: &str = "golem.srv.comp.task_package";
    /// Its format: [`GVMKIT_SQUASH`]. Text; demands.
    pub const VM_PACKAGE_FORMAT: &str = "golem.srv.comp.vm.package_format";
    /// A computation payload manifest, in base64. Text; demands.
    pub const PAYLOAD: &str = "golem.srv.comp.payload";
    /// The signature of the manifest's base64, in base64 itself. Text; demands.
    pub const PAYLOAD_SIG: &str = "golem.srv.comp.payload.sig";
    /// How it was signed, as `sha256`. Text; demands.
    pub const PAYLOAD_SIG_ALGORITHM: &str = "golem.srv.comp.payload.sig.algorithm";
    /// The certificate of the signature's key, in base64 (DER or PEM). Text; demands.
    pub const PAYLOAD_CERT: &str = "golem.srv.comp.payload.cert";
    /// A partner's signed descriptor of a requestor's node (GAP-31, experimental). Object; demands.
    pub const NODE_DESCRIPTOR: &str = "golem.!exp.gap-31.v0.node.descriptor";
    /// Whether an agreement may carry several activities, one after the other. Truth value; offers and demands.
    pub const MULTI_ACTIVITY: &str = "golem.srv.caps.multi-activity";
    /// Whether manifests are understood. Truth value; offers.
    pub const PAYLOAD_MANIFEST: &str = "golem.srv.caps.payload-manifest";

    /// The format of images that `gvmkit-build` makes.
    pub const GVMKIT_SQUASH: &str = "gvmkit-squash";
}

/// What an activity can do: `golem.activity`. Offers, unless something else is said.
pub mod activity {
    /// Protocols of transfers, as `gftp`. List of texts.
    pub const TRANSFER_PROTOCOLS: &str = "golem.activity.caps.transfer.protocol";
    /// The most that an activity may cost, in GLM. Number; demands.
    pub const COST_CAP: &str = "golem.activity.cost_cap";
    /// At what cost a debit note is wanted, in GLM. Number; demands.
    pub const COST_WARNING: &str = "golem.activity.cost_warning";
    /// How long an activity may run, in seconds. Number; demands.
    pub const TIMEOUT_SECS: &str = "golem.activity.timeout_secs";
}

/// What it costs and how it is paid: `golem.com`.
pub mod com {
    /// When bills come: [`PAYU`]. Text; offers.
    pub const SCHEME: &str = "golem.com.scheme";
    /// How prices are made up: [`LINEAR`]. Text; offers.
    pub const PRICING_MODEL: &str = "golem.com.pricing.model";
    /// GLM for a unit of each counter, in the order of the usage vector, and for the start. List of numbers; offers.
    pub const LINEAR_COEFFS: &str = "golem.com.pricing.model.linear.coeffs";
    /// The counters of usage that are priced. List of texts; offers.
    pub const USAGE_VECTOR: &str = "golem.com.usage.vector";
    /// Which rules of payment are known. Number; offers and demands.
    pub const PROTOCOL_VERSION: &str = "golem.com.payment.protocol.version";
    /// The platform that an agreement is paid on. Text; demands.
    pub const CHOSEN_PLATFORM: &str = "golem.com.payment.chosen-platform";
    /// How often debit notes come, in seconds: at most once in this time for each activity. Number; negotiable.
    pub const DEBIT_NOTE_INTERVAL: &str = "golem.com.scheme.payu.debit-note.interval-sec?";
    /// How long a payable debit note has to be paid, in seconds. Number; negotiable.
    pub const PAYMENT_TIMEOUT: &str = "golem.com.scheme.payu.payment-timeout-sec?";
    /// How long a debit note has to be accepted, in seconds. Number; negotiable.
    pub const DEBIT_NOTE_ACCEPT_TIMEOUT: &str = "golem.com.payment.debit-notes.accept-timeout?";

    /// Pay as you use.
    pub const PAYU: &str = "payu";
    /// Prices in proportion to usage.
    pub const LINEAR: &str = "linear";

    /// Where a provider is paid on a platform, as `erc20-polygon-glm`; the property's name. Text; offers.
    pub fn platform_address(platform: &str) -> String {
        format!("golem.com.payment.platform.{platform}.address")
    }
}

/// Counters of usage: `golem.usage`. Members of [`com::USAGE_VECTOR`].
pub mod usage {
    /// How long the activity has lived, in seconds.
    pub const DURATION_SEC: &str = "golem.usage.duration_sec";
    /// Time of the processor, of all threads, in seconds.
    pub const CPU_SEC: &str = "golem.usage.cpu_sec";
    /// Disk space in use, in GiB.
    pub const STORAGE_GIB: &str = "golem.usage.storage_gib";
    /// The most memory in use, in GiB.
    pub const MEM_GIB: &str = "golem.usage.gib";
}
