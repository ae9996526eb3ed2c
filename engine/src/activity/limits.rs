//! The knobs of activities and scripts: unit in the type, default, reason.

use std::time::Duration;

/// Limits of using a machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActivityLimits {
    /// How long the daemon may wait for a provider to create or destroy an activity.
    pub change_timeout: Duration,
    /// How long one poll for results waits at the daemon. A batch that fails half-way does not wake
    /// a waiting poll, so this is how late its failure may be noticed.
    pub results_poll: Duration,
    /// How often the state of an activity is asked for while nothing else is heard of it.
    pub health_interval: Duration,
    /// An activity is given up when the daemon heard nothing of it for so long. Time without the
    /// daemon itself does not count: see [`daemon_away`](crate::Config::daemon_away).
    pub silence: Duration,
    /// How long a script waits for one that was given up before it, but still runs.
    pub busy_wait: Duration,
    /// Most bytes of output that one script may give back.
    pub max_result_bytes: usize,
    /// Largest download into memory.
    pub max_download_bytes: u64,
    /// Largest download into a file.
    pub max_download_file_bytes: u64,
}

impl Default for ActivityLimits {
    fn default() -> Self {
        ActivityLimits {
            change_timeout: Duration::from_secs(30),
            results_poll: Duration::from_secs(5),
            health_interval: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            busy_wait: Duration::from_secs(30),
            max_result_bytes: 16 << 20,
            max_download_bytes: 16 << 20,
            max_download_file_bytes: 64 << 30,
        }
    }
}
