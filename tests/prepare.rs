//! A fork is prepared: a large heap is collapsed into huge pages before it, while everybody is served; and
//! where that cannot be done, or goes wrong, the verdict says why and the fork is made all the same.

use std::{fs, os::unix::process::CommandExt, thread};

use crate::common::{
    Setup,
    huge::{NO_PAGES, OLD_KERNEL, failed_allocations, hindrance, was_done},
    open_fds,
    ops::{Control, Operated, Row},
    restart::{Engine, resume, slay, stop, tell, zombies_of},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

/// What a lab holds, in MiB: more than the default has as small.
const HEAP: u64 = 96;

/// How the process that does it is called.
const HELPER: &str = "heirloom-huge";

/// A lab with a heap; whoever prepares sleeps for so long after each block.
fn lab(pause: u64, within: u64) -> Operated {
    adjusted(pause, within, |setup| setup)
}

fn adjusted(pause: u64, within: u64, adjust: impl FnOnce(Setup) -> Setup) -> Operated {
    let how = format!("{} {within} {pause}", 64 << 20);
    fill(Operated::with(20, |setup| adjust(setup.env("LAB_PREPARE", how))))
}

fn fill(lab: Operated) -> Operated {
    assert_eq!(lab.connect().ask(&format!("heap {HEAP}")), "ok");
    lab
}

/// A line of a verdict.
fn told<'a>(verdict: &'a [String], name: &str) -> Option<&'a str> {
    verdict.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// A number in a verdict, which has none where nothing was begun.
fn number(verdict: &[String], name: &str) -> u64 {
    let number = told(verdict, name).map_or(Ok(0), str::parse);
    number.unwrap_or_else(|e| panic!("{name}: {e}: {verdict:?}"))
}

/// Restarts by fork, and answers the verdict.
fn restart(lab: &Operated) -> Vec<String> {
    let verdict = lab.request("restart fork");
    assert!(verdict[0].starts_with("ok: ") && verdict[0].contains("by fork, "), "{verdict:?}");
    verdict
}

/// The processes that share a generation's memory.
fn helpers(of: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let is_helper = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == HELPER)
    };
    children.filter(is_helper).collect()
}

fn wait_helper(of: i32) -> i32 {
    wait_for("the heap to be prepared", || !helpers(of).is_empty());
    helpers(of)[0]
}

/// Nothing of a preparation is left at a generation.
fn assert_clean(lab: &Operated) {
    let pid = lab.pid();
    assert_eq!((helpers(pid), zombies_of(pid)), (vec![], vec![]));
}

/// As the program shows it, in bytes: the heap, and how much of it is huge.
fn memory(lab: &Operated) -> (u64, u64) {
    let ran = lab.heirloom(&["status", "--json"]);
    let number = |name: &str| {
        let text = ran.out.split(&format!("\"{name}\":")).nth(1).expect("a field");
        text.split([',', '}']).next().and_then(|text| text.parse().ok()).expect("a number")
    };
    (number("anonymous_bytes"), number("huge_bytes"))
}

#[test]
fn a_large_heap_is_huge_at_the_fork_and_the_verdict_says_so() {
    let lab = lab(0, 45_000);
    let (before, failed) = (memory(&lab), failed_allocations());
    let verdict = restart(&lab);
    assert_clean(&lab);
    if !was_done(told(&verdict, "unprepared"), failed) {
        return;
    }
    assert_eq!(hindrance(), None, "{verdict:?}");
    let collapsed = number(&verdict, "collapsed");
    assert!(collapsed + before.1 > (HEAP - 8) << 20, "{before:?}, {verdict:?}");
    assert!(told(&verdict, "prepared").is_some_and(|took| took != "0.000ms"), "{verdict:?}");
    // Its heir has it so as well, and the operator sees it.
    let (heap, huge) = memory(&lab);
    assert!(huge > heap / 10 * 8, "{huge} of {heap}");
    let table = lab.heirloom(&["status"]).out;
    assert!(table.lines().next().is_some_and(|head| head.contains("huge")), "{table}");
    // Only what is small again is done again.
    let again = restart(&lab);
    assert!(number(&again, "collapsed") < (HEAP << 20) / 2, "{again:?}");
    was_done(told(&again, "unprepared"), failed);
}

#[test]
fn a_small_heap_is_forked_as_it_is() {
    let lab = Operated::with(20, |setup| setup);
    let verdict = restart(&lab);
    let why = told(&verdict, "unprepared").expect("a reason");
    assert!(why.starts_with("a heap of ") && why.ends_with(" MiB is small"), "{why}");
    let how = lab.request("restart fork-exec");
    assert!(told(&how, "unprepared").is_some_and(|why| why.ends_with(" is small")), "{how:?}");
}

/// A new program has a heap of its own, but the scribe that writes for it is a fork of this one.
#[test]
fn the_scribe_of_an_upgrade_is_a_fork_as_well() {
    let lab = lab(0, 45_000);
    let failed = failed_allocations();
    let verdict = lab.request("restart fork-exec");
    assert!(verdict[0].starts_with("ok: "), "{verdict:?}");
    if was_done(told(&verdict, "unprepared"), failed) {
        assert!(number(&verdict, "collapsed") > (HEAP - 8) << 20, "{verdict:?}");
    }
}

/// Where there is no scribe there is nothing to prepare for.
#[test]
fn with_a_second_thread_an_upgrade_is_not_prepared() {
    let lab = lab(0, 45_000);
    let mut client = lab.connect();
    client.ask("threads 1");
    let verdict = lab.request("restart fork-exec");
    assert!(verdict[0].starts_with("ok: "), "{verdict:?}");
    assert_eq!(
        (told(&verdict, "prepared"), told(&verdict, "unprepared")),
        (None, None),
        "{verdict:?}"
    );
}

/// Clients have their answers, one thread is counted, and whatever an operator asks has an answer that is true.
#[test]
fn while_it_prepares_everybody_is_served() {
    if hindrance().is_some() {
        let verdict = restart(&lab(1, 45_000));
        assert_eq!(told(&verdict, "unprepared"), hindrance());
        return;
    }
    let lab = lab(200, 45_000);
    let old = lab.pid();
    let mut client = lab.connect();
    client.who();
    let fds = open_fds(old);
    let first = lab.heirloom_later(&["restart", "--fork"]);
    let helper = wait_helper(old);
    assert_eq!(fs::read_dir(format!("/proc/{old}/task")).expect("threads").count(), 1);
    for number in 0..100 {
        assert_eq!(client.ask(&format!("echo {number}")), number.to_string());
        assert_eq!(lab.connect().who().generation, 0, "a new client");
    }
    let row = |rows: Vec<Row>| rows[0].get("phase").to_owned();
    assert_eq!(row(lab.status()), "preparing");
    let refused = lab.request("restart fork-exec");
    assert_eq!(refused[0], "error: restart refused: another one is in progress");
    let refused = lab.request("rollback");
    assert_eq!(refused[0], "error: there is nothing to roll back: no restart is in its probation");
    assert_eq!(helpers(old), [helper], "all of that has not disturbed it");
    assert!(
        open_fds(old) <= fds + 8,
        "the pidfd, the pagemap, operators: {fds}, {}",
        open_fds(old)
    );
    tell(helper, Signal::SIGTERM); // as to a whole control group: it is no server, and has no handler
    let mut busy = Control::connect(&lab.control()).expect("the control socket");
    assert!(busy.ask("status")[0].starts_with("ok: 1 generation"));
    drop(busy);
    slay(helper); // it would go on for long
    let ran = first.wait();
    assert!(ran.status == Some(0) && ran.out.contains("generation 1 is pid"), "{ran:?}");
    assert_eq!(client.who().pid, old, "it stays with its generation");
    drop(client);
    wait_gone(old);
    assert_clean(&lab);
}

/// Prepares with long pauses, does something to the process that does it, and answers the verdict.
fn disturb(within: u64, how: impl FnOnce(i32)) -> Vec<String> {
    let lab = lab(300, within);
    let old = lab.pid();
    let asked = thread::scope(|scope| {
        let asked = scope.spawn(|| restart(&lab));
        if hindrance().is_none() {
            how(wait_helper(old));
        }
        asked.join().expect("a verdict")
    });
    assert_clean(&lab);
    assert_eq!(lab.connect().who().generation, 1);
    asked
}

#[test]
fn where_it_dies_the_fork_is_made_all_the_same() {
    let verdict = disturb(45_000, slay);
    let expected = hindrance().unwrap_or("the process that did it has died");
    assert_eq!(told(&verdict, "unprepared"), Some(expected));
}

#[test]
fn where_it_hangs_it_is_killed_when_its_time_is_up() {
    let mut hung = None;
    let verdict = disturb(1500, |helper| {
        stop(helper);
        hung = Some(helper);
    });
    assert_eq!(told(&verdict, "unprepared"), Some(hindrance().unwrap_or("its time was up")));
    hung.into_iter().for_each(wait_gone);
}

#[test]
fn a_stop_ends_it_and_there_is_no_restart() {
    let mut lab = lab(300, 45_000);
    let old = lab.pid();
    let asked = lab.heirloom_later(&["restart", "--fork"]);
    if hindrance().is_some() {
        let ran = asked.wait();
        assert!(ran.status == Some(0) && ran.out.contains(hindrance().unwrap()), "{ran:?}");
        return;
    }
    let helper = wait_helper(old);
    lab.signal(Signal::SIGTERM);
    let ran = asked.wait();
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert!(ran.err.contains("given up, this process was told to stop"), "{ran:?}");
    wait_gone(helper);
    assert!(lab.wait_exit().success());
}

#[test]
fn it_does_not_outlive_a_server_that_is_killed() {
    let lab = lab(300, 45_000);
    let old = lab.pid();
    lab.signal(Engine::Fork.signal());
    if hindrance().is_some() {
        lab.wait_line("restart: done");
        return;
    }
    let helper = wait_helper(old);
    stop(helper); // or it would end by itself, in time
    slay(old);
    wait_gone(helper); // and the memory with it
}

#[test]
fn connections_that_move_do_not_wait_for_it() {
    let lab = adjusted(0, 45_000, |setup| setup.env("LAB_MOVE", 1));
    let (mut client, failed) = (lab.connect(), failed_allocations());
    assert_eq!(client.who().generation, 0);
    let verdict = restart(&lab);
    assert_eq!(client.who().generation, 1);
    let millis =
        |name| told(&verdict, name).and_then(|it| it.strip_suffix("ms")?.parse::<f64>().ok());
    let (prepared, ready) = (millis("prepared").unwrap_or(0.0), millis("ready").expect("a time"));
    let downtime = millis("downtime").expect("a time");
    assert!(downtime <= ready - prepared + 50.0, "they were frozen after it: {verdict:?}");
    was_done(told(&verdict, "unprepared"), failed);
}

#[test]
fn after_a_stop_of_the_server_itself_it_goes_on() {
    let lab = lab(100, 45_000);
    let old = lab.pid();
    let asked = lab.heirloom_later(&["restart", "--fork"]);
    if hindrance().is_none() {
        wait_helper(old);
        stop(old);
        resume(old);
    }
    let ran = asked.wait();
    assert!(ran.status == Some(0), "{ran:?}");
    let collapsed = ran.out.lines().find_map(|line| line.trim().strip_prefix("collapsed="));
    let collapsed: u64 = collapsed.map_or(0, |it| it.parse().expect("a number"));
    assert_eq!(collapsed == 0, hindrance().is_some(), "{ran:?}");
}

/// A call that the system answers with an error, where one of its arguments is this: number, place, value.
struct Forbidden(libc::c_long, u32, u32, i32);

impl Forbidden {
    /// A lab under such a filter (`seccomp(2)`).
    fn lab(self) -> Operated {
        let how = format!("{} 45000 0", 64 << 20);
        let start = |setup: Setup| {
            setup.env("LAB_PREPARE", how).start_as(|mut command| {
                // SAFETY: between fork and exec it makes two system calls and touches its own stack.
                unsafe { command.pre_exec(move || self.install()) };
                command
            })
        };
        fill(Operated::started(20, start))
    }

    fn install(&self) -> std::io::Result<()> {
        let Forbidden(call, place, value, errno) = *self;
        let step =
            |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
        let (load, equal, answer) = (
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::BPF_RET | libc::BPF_K,
        );
        let mut filter = [
            step(load, 0, 0, 0), // the call's number; its arguments begin at 16, the lower half first
            step(equal, 0, 3, call as u32),
            step(load, 0, 0, 16 + 8 * place),
            step(equal, 0, 1, value),
            step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: two calls, the second with a program that is there.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

/// The flags of the one `clone` that is ours.
const SHARING: u32 =
    (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_PIDFD) as u32;

const COLLAPSE: u32 = libc::MADV_COLLAPSE as u32;

#[test]
fn what_the_system_forbids_is_named() {
    for (forbidden, why) in [
        (Forbidden(libc::SYS_madvise, 2, COLLAPSE, libc::EPERM), "the system forbids it (seccomp)"),
        (Forbidden(libc::SYS_madvise, 2, COLLAPSE, libc::EINVAL), OLD_KERNEL),
        // The length of a block: the kernel knows the advice, and has no memory.
        (Forbidden(libc::SYS_madvise, 1, 2 << 20, libc::ENOMEM), "there is no free block of 2 MiB"),
        (
            Forbidden(libc::SYS_clone, 0, SHARING, libc::EAGAIN),
            "no process for it: Resource temporarily unavailable (os error 11)",
        ),
    ] {
        let lab = forbidden.lab();
        let verdict = restart(&lab);
        assert_eq!(told(&verdict, "unprepared"), Some(hindrance().unwrap_or(why)));
        assert_eq!(number(&verdict, "collapsed"), 0, "{verdict:?}");
        assert_clean(&lab);
    }
}

/// Linux 6.1 to 6.6: each block is looked at.
#[test]
fn without_a_scan_of_the_page_map_it_takes_the_long_way() {
    let lab = Forbidden(libc::SYS_ioctl, 1, 0xc060_6610, libc::ENOTTY).lab();
    let failed = failed_allocations();
    let verdict = restart(&lab);
    let was_done = was_done(told(&verdict, "unprepared"), failed);
    let (heap, huge) = memory(&lab);
    assert!(huge > heap / 10 * 8 || !was_done, "{huge} of {heap}: {verdict:?}");
}

#[test]
fn a_process_that_is_not_to_have_huge_pages_gets_none() {
    let how = format!("{} 45000 0", 64 << 20);
    let lab = fill(Operated::started(20, |setup| {
        setup.env("LAB_PREPARE", how).start_as(|mut command| {
            let disable = || {
                // SAFETY: one system call, of integers.
                match unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            };
            // SAFETY: between fork and exec it makes that system call.
            unsafe { command.pre_exec(disable) };
            command
        })
    }));
    let verdict = restart(&lab);
    assert_eq!(told(&verdict, "unprepared"), Some(hindrance().unwrap_or(NO_PAGES)));
}
