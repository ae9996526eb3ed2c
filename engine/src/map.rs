//! Maps and sets in the order of insertion, for what is asked at every step of every machine. Owns: how their keys are
//! hashed. Keys are ids of the daemon and of providers; the hash is seeded by the process, so that nobody can choose ids
//! that collide, and no order depends on it. What users get are maps of the standard's hash.

/// A map by ids.
pub(crate) type IdMap<K, V> = indexmap::IndexMap<K, V, foldhash::fast::RandomState>;

/// A set of ids.
pub(crate) type IdSet<K> = indexmap::IndexSet<K, foldhash::fast::RandomState>;
