//! What the kernel says about this process's memory: how much was touched, where it lies, whether the system
//! has huge pages, and how much memory there is to spare. None of it walks over pages, which takes as long as
//! the fork that is to be shortened.

use std::{fs, ops::Range, path::Path};

use nix::unistd::{SysconfVar, sysconf};

use super::worker::BLOCK;
use crate::prepare::Unprepared;

/// The folder in which the kernel says what it does with huge pages.
const THP: &str = "/sys/kernel/mm/transparent_hugepage";

/// With less than this to spare nothing is begun, in bytes.
const LEAST_ROOM: u64 = 32 << 20;

/// How many bytes of this process are its own memory, touched and present.
pub(super) fn size() -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    anonymous_pages(&read("/proc/self/statm")) * page
}

/// `proc_pid_statm(5)`: size, resident, and of that what is of files or shared.
fn anonymous_pages(statm: &str) -> u64 {
    let mut numbers = statm.split(' ').filter_map(|word| word.trim().parse::<u64>().ok());
    let (_, resident, shared) = (numbers.next(), numbers.next(), numbers.next());
    resident.unwrap_or(0).saturating_sub(shared.unwrap_or(0))
}

/// Whether the system has pages of 2 MiB, and the administrator wants any.
pub(super) fn is_eligible() -> bool {
    let chosen = |path: &str| read(&format!("{THP}/{path}"));
    let size = read(&format!("{THP}/hpage_pmd_size"));
    is_chosen(&size, &chosen("enabled"), &chosen("hugepages-2048kB/enabled"))
}

/// `enabled` is for all sizes, the other for this one; an older kernel has no such file.
fn is_chosen(size: &str, enabled: &str, of_size: &str) -> bool {
    let has = |text: &str| !text.is_empty() && !text.contains("[never]");
    size.trim().parse() == Ok(BLOCK) && (has(of_size) || of_size.is_empty()) && {
        let inherits = of_size.is_empty() || of_size.contains("[inherit]");
        has(enabled) || !inherits
    }
}

/// The parts of this process's memory that may be collapsed: whole blocks of private anonymous mappings.
pub(super) fn ranges() -> Vec<Range<usize>> {
    read("/proc/self/maps").lines().filter_map(range).collect()
}

/// The blocks within a line of `proc_pid_maps(5)`: addresses, permissions, offset, device, inode, name.
fn range(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let (permissions, inode, name) = (words.next()?, words.nth(2)?, words.next().unwrap_or(""));
    let is_heap = name.is_empty() || name == "[heap]" || name.starts_with("[anon");
    if permissions != "rw-p" || inode != "0" || !is_heap {
        return None;
    }
    let from = usize::from_str_radix(from, 16).ok()?.checked_next_multiple_of(BLOCK)?;
    let to = usize::from_str_radix(to, 16).ok()? / BLOCK * BLOCK;
    (from < to).then_some(from..to)
}

/// How many bytes it may take, where it fills holes and copies what is shared with another generation: half of
/// what there is to spare.
pub(super) fn room() -> Result<u64, Unprepared> {
    let free = kib(&read("/proc/meminfo"), "MemAvailable:").unwrap_or(u64::MAX);
    let room = free.min(group_room()) / 2;
    if room < LEAST_ROOM { Err(Unprepared::NearLimit { room }) } else { Ok(room) }
}

/// A line of `name: number kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The least that this process's control group, or one above it, has left (`cgroups(7)`, version 2).
fn group_room() -> u64 {
    let group = read("/proc/self/cgroup");
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(group.trim());
    let above = own.ancestors().take_while(|path| path.starts_with(root));
    above.map(room_of_group).min().unwrap_or(u64::MAX)
}

fn room_of_group(path: &Path) -> u64 {
    let number = |name: &str| fs::read_to_string(path.join(name)).ok()?.trim().parse::<u64>().ok();
    let limits = [number("memory.max"), number("memory.high")]; // `max` is no number, and no limit
    let Some(limit) = limits.into_iter().flatten().min() else { return u64::MAX };
    // What files have left in memory gives way.
    let stat = fs::read_to_string(path.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok());
    let used = number("memory.current").unwrap_or(0).saturating_sub(files.unwrap_or(0));
    limit.saturating_sub(used)
}

/// A file of the kernel's, or nothing where there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_and_is_no_file_counts() {
        assert_eq!(anonymous_pages("98765 4000 1000 200 0 5000 0\n"), 3000);
        assert_eq!(anonymous_pages(""), 0);
        let before = size();
        let block = vec![1_u8; 32 << 20];
        assert!(size() >= before + (16 << 20), "{before}, {}", size());
        drop(block);
    }

    #[test]
    fn only_where_the_administrator_wants_it() {
        let size = "2097152\n";
        let (always, madvise, never) =
            ("[always] madvise never", "always [madvise] never", "always madvise [never]");
        let of_size = |chosen: &str| {
            let all = "always inherit madvise never";
            all.replace(chosen, &format!("[{chosen}]"))
        };
        for (size, enabled, of_size, expected) in [
            (size, always, String::new(), true),
            (size, madvise, String::new(), true),
            (size, never, String::new(), false),
            (size, madvise, of_size("inherit"), true),
            (size, never, of_size("inherit"), false),
            (size, never, of_size("madvise"), true),
            (size, always, of_size("never"), false),
            ("33554432\n", always, String::new(), false),
            ("", "", String::new(), false),
        ] {
            assert_eq!(is_chosen(size, enabled, &of_size), expected, "{size} {enabled} {of_size}");
        }
    }

    #[test]
    fn whole_blocks_of_private_anonymous_memory() {
        let mib = 1 << 20;
        for (line, expected) in [
            ("00100000-00900000 rw-p 00000000 00:00 0      [heap]", Some(2 * mib..8 * mib)),
            ("00200000-00400000 rw-p 00000000 00:00 0", Some(2 * mib..4 * mib)),
            (
                "00200000-00400000 rw-p 00000000 00:00 0 [anon: glibc: malloc]",
                Some(2 * mib..4 * mib),
            ),
            ("00200001-00500000 rw-p 00000000 00:00 0", None),
            ("00200000-00400000 rw-s 00000000 00:00 0", None),
            ("00200000-00400000 r--p 00000000 00:00 0", None),
            ("00200000-00400000 rw-p 00000000 08:01 42     /a file", None),
            ("00200000-00400000 rw-p 00000000 00:00 0      [stack]", None),
            ("", None),
        ] {
            assert_eq!(range(line), expected, "{line}");
        }
    }

    #[test]
    fn a_number_of_kib_is_found_by_its_name() {
        let text = "MemTotal:       24000 kB\nMemAvailable:   3 kB\n";
        assert_eq!(kib(text, "MemAvailable:"), Some(3072));
        assert_eq!(kib(text, "Nothing:"), None);
    }

    #[test]
    fn a_group_has_left_what_its_lower_limit_says() {
        let path = std::env::temp_dir().join(format!("heirloom-group-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        assert_eq!(room_of_group(&path), u64::MAX);
        write("memory.max", "max\n");
        assert_eq!(room_of_group(&path), u64::MAX);
        write("memory.max", "1000\n");
        write("memory.current", "900\n");
        assert_eq!(room_of_group(&path), 100);
        write("memory.stat", "anon 700\ninactive_file 200\n");
        assert_eq!(room_of_group(&path), 300);
        write("memory.high", "800\n");
        assert_eq!(room_of_group(&path), 100);
        fs::remove_dir_all(&path).unwrap();
    }
}
