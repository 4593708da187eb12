//! The memory of this process, as the kernel counts it.

/// Resident memory, in MiB.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident_mib: u64,
    /// At its peak.
    pub(crate) peak_mib: u64,
}

/// Of this process.
pub(crate) fn now() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
    };
    Memory { resident_mib: field("VmRSS:"), peak_mib: field("VmHWM:") }
}
