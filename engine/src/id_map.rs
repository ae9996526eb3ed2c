//! Maps and sets by ids, in the order of insertion, for what is looked up at every step of every machine. Owns: how their
//! keys are hashed: fast, with a seed of the process. Ids are made by daemons and keys of providers, not by who wants them
//! to collide; no order depends on the hash. What users get are maps of the standard's hash.

/// A map by ids.
pub(crate) type IdMap<K, V> = indexmap::IndexMap<K, V, foldhash::fast::RandomState>;

/// A set of ids.
pub(crate) type IdSet<K> = indexmap::IndexSet<K, foldhash::fast::RandomState>;
