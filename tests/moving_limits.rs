//! What clients have queued may not make a restart stand still: in a move by fork-exec it has a bound, and
//! who goes over it is served to the end where it is.

use crate::common::{
    self, Client,
    ops::Operated,
    restart::{Engine, Lab},
};
use heirloom::limits::MOVE_SMALL;

/// Moves everybody; the lines of the answer.
fn upgrade(lab: &Operated) -> Vec<String> {
    let ran = lab.heirloom(&["restart", "--fork-exec", "--move"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    ran.out.lines().map(str::to_owned).collect()
}

/// A client of which `bytes` of a request have come, and not its end.
fn half_a_command(lab: &Lab, bytes: usize) -> Client {
    let mut client = lab.connect();
    let before = client.stat("bytes_in");
    client.send([&b"echo "[..], &vec![b'y'; bytes - 5]].concat());
    let mut other = lab.connect();
    common::wait_for("it to be read", || {
        // What the other one has asked counts as well.
        other.stat("bytes_in") >= before + bytes as u64
    });
    client
}

/// The rest of it: the answer is whole, and tells who served it.
fn complete(mut client: Client, bytes: usize) -> u64 {
    client.send("z\n");
    let answer = client.line();
    assert!(answer.len() == bytes - 5 + 1 && answer.starts_with("yy") && answer.ends_with("yz"));
    client.who().generation
}

#[test]
fn input_that_is_no_whole_message_goes_along_up_to_a_bound() {
    const BYTES: usize = 600 * 1024;
    let lab = Operated::with(20, |setup| setup.env("LAB_MAX_MOVED", 1024 * 1024));
    let mut idle: Vec<_> = (0..10).map(|_| lab.connect()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.who().generation, 0));
    let large: Vec<_> = (0..3).map(|_| half_a_command(&lab, BYTES)).collect();
    let small = half_a_command(&lab, 100 * 1024);
    let answer = upgrade(&lab);
    assert!(answer.contains(&"kept_back=2".to_owned()), "{answer:?}");
    lab.wait_line("2 connections have more queued than goes along (1048576 bytes), and stay");
    idle.iter_mut().for_each(|client| assert_eq!(client.who().generation, 1));
    assert_eq!(complete(small, 100 * 1024), 1, "those with the least go first");
    let mut served: Vec<_> = large.into_iter().map(|client| complete(client, BYTES)).collect();
    served.sort_unstable();
    assert_eq!(served, [0, 0, 1]);
}

/// The kernel has a part of each, up to 10 MiB of a loopback connection: the rest is over the bound.
#[test]
fn output_that_is_not_read_goes_along_up_to_a_bound() {
    const BYTES: usize = 15 * 1024 * 1024;
    let lab = Operated::with(20, |setup| setup.env("LAB_MAX_MOVED", 6 * 1024 * 1024));
    let mut clients: Vec<_> = (0..4).map(|_| lab.connect()).collect();
    for client in &mut clients {
        client.send(format!("burst {BYTES}\n"));
        client.read_exact(1);
    }
    let answer = upgrade(&lab);
    let kept_back = answer.iter().find_map(|line| line.strip_prefix("kept_back="));
    let kept_back: usize = kept_back.expect("some stay").parse().expect("a number");
    assert!((1..=4).contains(&kept_back), "{answer:?}");
    let mut old = 0;
    for client in &mut clients {
        assert!(client.read_exact(BYTES - 1).iter().all(|&byte| byte == b'x'));
        old += usize::from(client.who().generation == 0);
    }
    assert_eq!(old, kept_back);
}

/// What clients have sent may be in the service's hands.
#[test]
fn what_is_written_down_of_a_session_counts_as_well() {
    const BYTES: usize = 600 * 1024;
    let dir = common::Dir::new();
    std::fs::write(dir.path("format"), "2").expect("a file for the lab");
    let format = dir.path("format").display().to_string();
    let lab = Operated::with(20, |setup| {
        setup.env("LAB_MAX_MOVED", 1024 * 1024).env("LAB_FORMAT", format)
    });
    let note = "n".repeat(BYTES);
    let mut clients: Vec<_> = (0..3).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask(&format!("note {note}")), "ok"));
    let answer = upgrade(&lab);
    assert!(answer.contains(&"kept_back=2".to_owned()), "{answer:?}");
    let mut served = Vec::new();
    for client in &mut clients {
        assert!(client.ask("noted") == note);
        served.push(client.who().generation);
    }
    served.sort_unstable();
    assert_eq!(served, [0, 0, 1]);
}

#[test]
fn what_most_have_queued_does_not_count() {
    let lab = Operated::with(20, |setup| setup.env("LAB_MAX_MOVED", 0));
    // With what is written down of a session, which is little.
    const SMALL: usize = MOVE_SMALL - 256;
    let half: Vec<_> = (0..3).map(|_| half_a_command(&lab, SMALL)).collect();
    let one_more = half_a_command(&lab, MOVE_SMALL + 1);
    let answer = upgrade(&lab);
    assert!(answer.contains(&"kept_back=1".to_owned()), "{answer:?}");
    half.into_iter().for_each(|client| assert_eq!(complete(client, SMALL), 1));
    assert_eq!(complete(one_more, MOVE_SMALL + 1), 0);
}

/// A fork copies none of it.
#[test]
fn by_fork_everybody_goes() {
    const BYTES: usize = 600 * 1024;
    let lab = Operated::with(20, |setup| setup.env("LAB_MAX_MOVED", 0).env("LAB_MOVE", 1));
    let large: Vec<_> = (0..3).map(|_| half_a_command(&lab, BYTES)).collect();
    lab.restart_by(Engine::Fork);
    large.into_iter().for_each(|client| assert_eq!(complete(client, BYTES), 1));
    assert_eq!(lab.count_lines("more queued than goes along"), 0);
}

/// One that is over the bound is no reason for a restart to fail, also in a state that is given up.
#[test]
fn after_a_failure_those_over_the_bound_go_on_as_well() {
    const BYTES: usize = 600 * 1024;
    let lab = Operated::with(20, |setup| setup.env("LAB_MAX_MOVED", 0));
    let large = half_a_command(&lab, BYTES);
    lab.connect().ask("no-load");
    let ran = lab.heirloom(&["restart", "--fork-exec", "--move"]);
    assert!(ran.status == Some(1) && ran.err.contains("not loaded"), "{ran:?}");
    lab.connect().ask("load");
    assert!(!upgrade(&lab).is_empty());
    assert_eq!(complete(large, BYTES), 0);
}
