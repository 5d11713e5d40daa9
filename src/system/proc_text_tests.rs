//! Lines as kernels have written them, and lines that none has.

use proptest::prelude::*;

use super::*;

#[test]
fn a_link_tells_the_kind() {
    let anonymous = |name: &str| Target::Anonymous(name.to_owned());
    let path = |name: &str| Target::Path(name.to_owned());
    assert_eq!(target("socket:[2207]", false), Target::Socket);
    assert_eq!(target("pipe:[31]", false), Target::Pipe);
    assert_eq!(target("anon_inode:[eventfd]", false), anonymous("eventfd"));
    assert_eq!(target("anon_inode:[eventpoll]", false), anonymous("epoll"));
    assert_eq!(target("anon_inode:inotify", false), anonymous("inotify"));
    assert_eq!(target("anon_inode:[io_uring]", false), anonymous("io_uring"));
    assert_eq!(target("anon_inode:bpf-map", false), anonymous("bpf-map"));
    assert_eq!(target("net:[4026531840]", false), anonymous("net"));
    let memfd = Target::Memfd("/memfd:cache".to_owned());
    assert_eq!(target("/memfd:cache (deleted)", true), memfd);
    assert_eq!(target("/var/x (deleted)", true), path("/var/x"));
    assert_eq!(target("/var/x (deleted)", false), path("/var/x (deleted)"));
    assert_eq!(target("/tmp/socket:[1]", false), path("/tmp/socket:[1]"));
    assert_eq!(target("/tmp/a\nb\u{1b}[2J", false), path("/tmp/a\\nb\\u{1b}[2J"));
}

#[test]
fn fdinfo_tells_how_it_was_opened_and_what_it_has_locked() {
    let text = "pos:\t0\nflags:\t02102001\nmnt_id:\t29\nino:\t88\n\
                lock:\t1: FLOCK  ADVISORY  WRITE 4242 fd:01:88 0 EOF\n\
                lock:\t2: POSIX  ADVISORY  READ 4242 fd:01:88 10 19\n\
                lock:\t3: OFDLCK ADVISORY  WRITE -1 fd:01:88 100 EOF\n";
    let found = fdinfo(text);
    assert_eq!(found.flags, 0o2102001);
    assert_eq!(found.locks, ["flock write", "fcntl read 10-19", "ofd write 100-EOF"]);
    assert_eq!(lock("4: LEASE  ACTIVE    READ  77 fd:01:88 0 EOF").unwrap(), "lease read");
    assert_eq!(lock("1: -> FLOCK  ADVISORY  WRITE 9 fd:01:88 0 EOF"), None, "it waits");
}

#[test]
fn fdinfo_tells_what_a_kernel_object_does() {
    let timer = "pos:\t0\nflags:\t02004002\nmnt_id:\t16\nino:\t9\nclockid: 1\nticks: 0\n\
                 settime flags: 00\nit_value: (0, 49406829)\nit_interval: (1, 500000000)\n";
    let found = fdinfo(timer);
    assert_eq!((found.value, found.interval), (Some((0, 49406829)), Some((1, 500000000))));
    let inotify = "pos:\t0\nflags:\t02004000\n\
                   inotify wd:2 ino:7e9 sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8\n\
                   inotify wd:1 ino:192 sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8\n";
    assert_eq!(fdinfo(inotify).watches, 2);
    let epoll = "pos:\t0\nflags:\t02\n\
                 tfd:        5 events:       1d data:                5 pos:0 ino:61af sdev:7\n\
                 tfd:       12 events: 8000201d data: ffffffffffffff00  pos:0 ino:61b0 sdev:7\n";
    assert_eq!(fdinfo(epoll).watches, 2);
    assert_eq!(watched_as(epoll, u64::MAX - 255), Some(12));
    assert_eq!(watched_as(epoll, 6), None);
    assert_eq!(fdinfo("Pid:\t123\nNSpid:\t123\n").pid, Some(123));
}

#[test]
fn a_mapping_counts_if_others_read_what_is_written_there() {
    let line = "7f2c1a000000-7f2c1a001000 rw-s 00000000 00:01 1037    /memfd:cache (deleted)";
    let expected = Mapping {
        start: 0x7f2c1a000000,
        end: 0x7f2c1a001000,
        file: (0, 1, 1037),
        path: Some("/memfd:cache".to_owned()),
        is_deleted: true,
    };
    assert_eq!(shared_mapping(line), Some(expected));
    let spaces = "7f00-7f10 -w-s 00001000 fd:01 88                         /var/a b c";
    let found = shared_mapping(spaces).expect("shared");
    assert_eq!((found.file, found.path.as_deref()), ((0xfd, 1, 88), Some("/var/a b c")));
    for private in [
        "55d0-55e0 rw-p 00000000 00:00 0                          [heap]",
        "7f00-7f10 r--s 00000000 fd:01 88                         /usr/lib/gconv.cache",
        "7f00-7f10 r-xp 00000000 fd:01 88                         /usr/lib/libc.so.6",
    ] {
        assert_eq!(shared_mapping(private), None);
    }
}

#[test]
fn timers_and_the_size_of_the_table() {
    let text = "ID: 1\nsignal: 60/00007fff86e452a8\nnotify: signal/pid.2634\nClockID: 0\n\
                ID: 7\nsignal: 14/0000000000000000\nnotify: none/tid.2634\nClockID: 1\n";
    assert_eq!(timers(text), [(1, "signal 60".to_owned()), (7, "signal 14".to_owned())]);
    assert_eq!(table_size("Name:\tcat\nFDSize:\t256\nGroups:\t\n"), Some(256));
    assert_eq!(table_size("Name:\tcat\n"), None);
}

proptest! {
    /// Near to what a kernel says, and far from it.
    #[test]
    fn no_text_does_harm(text in "(?s)([a-zA-Z0-9:;,()\\[\\]/ \t\n>-]|\\PC){0,200}", data: u64) {
        for is_deleted in [false, true] {
            target(&text, is_deleted);
        }
        for prefix in ["", "lock:\t1: FLOCK ", "it_value: (", "tfd: ", "ID: ", "FDSize:", "anon_inode:"] {
            let text = format!("{prefix}{text}");
            fdinfo(&text);
            lock(&text);
            shared_mapping(&text);
            shared_mapping(&format!("0-1 rw-s {text}"));
            timers(&text);
            table_size(&text);
            watched_as(&text, data);
            target(&text, true);
        }
    }

    #[test]
    fn nothing_that_is_kept_is_long_or_obeyed(text in "(?s).{0,600}") {
        let kept = clean(&text);
        prop_assert!(!kept.chars().any(char::is_control));
        // Each control character becomes at most six others.
        prop_assert!(kept.len() <= 6 * TEXT_MAX);
    }
}
