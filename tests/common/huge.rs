//! Whether memory can be collapsed into huge pages on this machine, by what it says of itself.

use std::fs;

/// The system has none, or its administrator does not want them.
pub const NO_PAGES: &str = "the system has no huge pages, or is not to use them";

/// Linux before 6.1.
pub const OLD_KERNEL: &str = "this kernel cannot collapse memory (Linux 6.1 can)";

/// Why nothing can be collapsed; `None`: it can be.
pub fn hindrance() -> Option<&'static str> {
    let thp = |name: &str| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{name}");
        fs::read_to_string(path).unwrap_or_default()
    };
    let of_size = thp("hugepages-2048kB/enabled");
    let inherits = of_size.is_empty() || of_size.contains("[inherit]");
    let decides = if inherits { thp("enabled") } else { of_size };
    let has_pages = thp("hpage_pmd_size").trim() == "2097152";
    if !has_pages || decides.is_empty() || decides.contains("[never]") {
        return Some(NO_PAGES);
    }
    let kernel = nix::sys::utsname::uname().expect("a kernel");
    let release = kernel.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|word| word.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (version < (6, 1)).then_some(OLD_KERNEL)
}

/// There was no free block: a machine whose memory is in pieces.
const NO_BLOCK: &str = "there is no free block of 2 MiB";

/// How often the system has found no block of 2 MiB for somebody, so far.
pub fn failed_allocations() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").expect("a kernel that counts");
    let number = text.lines().find_map(|line| line.strip_prefix("thp_collapse_alloc_failed "));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Whether a preparation that was not disturbed has done all that there was to do. If not, the machine is
/// one where it cannot, and says so itself: `failed` is what it had [counted](failed_allocations) before.
pub fn was_done(unprepared: Option<&str>, failed: u64) -> bool {
    match unprepared {
        None => true,
        Some(NO_BLOCK) if failed_allocations() > failed => false,
        Some(why) => {
            assert_eq!(Some(why), hindrance());
            false
        }
    }
}
