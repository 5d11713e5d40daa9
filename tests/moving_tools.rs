//! Programs that everybody has do not notice that their server is replaced ten times under them. They are
//! needed, so these tests are asked for: `cargo test --test promises moving_tools:: -- --ignored`.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use crate::common::{
    Dir, Server,
    tool::{Tool, wait_line},
    wait_for,
};
use nix::sys::signal::Signal;

const UPGRADES: usize = 10;

fn upgrade(server: &Server, round: usize) {
    server.restart([Signal::SIGUSR2, Signal::SIGHUP][round % 2]);
}

fn port(server: &Server) -> &str {
    server.address.rsplit(':').next().expect("a port")
}

#[test]
#[ignore = "needs redis-tools"]
fn a_redis_cli_that_listens_hears_through_ten_upgrades() {
    let server = Server::of("kv").start();
    let mut listener = Tool::start("redis-cli", &["-p", port(&server), "subscribe", "news"]);
    let mut heard = listener.lines();
    wait_line(&mut heard, "subscribe");
    for round in 0..UPGRADES {
        upgrade(&server, round);
        let text = format!("upgrade-{round}");
        let speaker = ["-p", port(&server), "publish", "news", &text];
        let mut speaker = Tool::start("redis-cli", &speaker);
        wait_line(&mut speaker.lines(), "1");
        wait_line(&mut heard, &text);
    }
}

#[test]
#[ignore = "needs netcat"]
fn two_netcats_chat_through_ten_upgrades() {
    let server = Server::of("chat").start();
    let mut guests = ["ann", "bob"].map(|_| Tool::start("nc", &["127.0.0.1", port(&server)]));
    let [ann, bob] = &mut guests;
    let (mut ann_hears, mut bob_hears) = (ann.lines(), bob.lines());
    ann.say("ann\n");
    wait_line(&mut bob_hears, "What is your name?");
    wait_line(&mut ann_hears, "What is your name?");
    bob.say("bob\n");
    wait_line(&mut ann_hears, "* bob is here");
    for round in 0..UPGRADES {
        bob.say("half of ");
        upgrade(&server, round);
        bob.say(&format!("line {round}\n"));
        wait_line(&mut ann_hears, &format!("bob: half of line {round}"));
        ann.say(&format!("so it is {round}\n"));
        wait_line(&mut bob_hears, &format!("ann: so it is {round}"));
    }
}

/// Bytes enough for a transfer that is longer than ten upgrades, each with its probation.
const BYTES: usize = 16_000_000;
const RATE: &str = "2M";

#[test]
#[ignore = "needs curl"]
fn a_slow_download_goes_on_through_ten_upgrades() {
    let (server, dir) = (Server::of("http").arg("--move").start(), Dir::new());
    let (file, url) = (dir.path("body"), format!("http://{}/bytes/{BYTES}", server.address));
    let to = file.to_str().expect("a path");
    let mut curl = Tool::start("curl", &["-sS", "--limit-rate", RATE, "-o", to, &url]);
    wait_for("the first bytes", || file.metadata().is_ok_and(|file| file.len() > 0));
    for round in 0..UPGRADES {
        upgrade(&server, round);
        assert!(curl.runs(), "{round} upgrades were too slow");
    }
    curl.succeeds();
    let body = std::fs::read(&file).expect("the body");
    let line = b"abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456789\n";
    assert_eq!(body.len(), BYTES);
    assert!(body.chunks(line.len()).all(|piece| piece == &line[..piece.len()]));
}

/// A file whose lines are numbers.
fn numbers(path: &Path) {
    let text: String = (0..BYTES / 10).map(|number| format!("{number:09}\n")).collect();
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}

#[test]
#[ignore = "needs curl"]
fn a_slow_upload_in_chunks_goes_on_through_ten_upgrades() {
    let (server, dir) = (Server::of("http").arg("--move").start(), Dir::new());
    let file = dir.path("numbers");
    numbers(&file);
    let url = format!("http://{}/count", server.address);
    let (from, chunked) = (file.to_str().expect("a path"), "Transfer-Encoding: chunked");
    let mut curl =
        Tool::start("curl", &["-sS", "--limit-rate", RATE, "-H", chunked, "-T", from, &url]);
    for round in 0..UPGRADES {
        upgrade(&server, round);
        assert!(curl.runs(), "{round} upgrades were too slow");
    }
    let mut said = String::new();
    curl.lines().read_to_string(&mut said).expect("text");
    assert_eq!(said, format!("{BYTES}\n"));
}

/// Up and down at the same time: every byte comes back in its place.
#[test]
#[ignore = "needs curl"]
fn a_slow_echo_goes_on_through_ten_upgrades() {
    let (server, dir) = (Server::of("http").arg("--move").start(), Dir::new());
    let (there, back) = (dir.path("there"), dir.path("back"));
    numbers(&there);
    let url = format!("http://{}/echo", server.address);
    let data = format!("@{}", there.display());
    let to = back.to_str().expect("a path");
    let args =
        ["-sS", "--limit-rate", RATE, "-H", "Expect:", "--data-binary", &data, "-o", to, &url];
    let mut curl = Tool::start("curl", &args);
    for round in 0..UPGRADES {
        upgrade(&server, round);
        assert!(curl.runs(), "{round} upgrades were too slow");
    }
    curl.succeeds();
    assert!(std::fs::read(&there).expect("a file") == std::fs::read(&back).expect("a file"));
}
