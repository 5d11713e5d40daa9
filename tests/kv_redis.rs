//! kv beside the real Redis: the same replies, and the real tools as clients. What these tests need is
//! not everywhere, so they are ignored unless asked for: `cargo test --test promises kv_redis:: -- --ignored`.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::common::{
    DEADLINE, Server,
    redis::Redis,
    wire::{Wire, shown},
};
use nix::sys::signal::Signal;

/// Commands whose replies depend on nothing but the commands before, as people type them.
const TRANSCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kv_transcript.txt");

#[test]
#[ignore = "needs redis-server"]
fn the_same_transcript_gets_the_same_replies() {
    let (redis, server) = (Redis::start(), Server::of("kv").start());
    let (mut real, mut ours) = (redis.connect(), Wire::connect(&server.address));
    let mut different = Vec::new();
    let transcript = std::fs::read_to_string(TRANSCRIPT).expect("the transcript");
    for line in transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (expected, found) = (real.ask(line), ours.ask(line));
        if found != expected {
            different.push(format!("{line}\n  Redis: {expected:?}\n  kv:    {found:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What a connection may send instead of a command. Each is sent on a connection of its own, which
/// is then read to its end.
fn raw_inputs() -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = [
        &b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nping\r\n"[..],
        b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n",
        b"PING\nECHO \"a b\"  'c'\r\n",
        b"echo 'it\\'s' \r\necho \"\\x41\\n\\t\\\\\\q\"\r\necho foo\"bar\"\r\n",
        b"echo \"unbalanced\r\nPING\r\n",
        b"echo \"a\"b\r\n",
        b"*x\r\n",
        b"*\r\n",
        b"* 1\r\n",
        b"*+1\r\n",
        b"*01\r\n",
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n:4\r\nPING\r\n",
        b"*1\r\n\r\n",
        b"*2\r\n$3\r\nGET\r\nx$1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*1\r\n$\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"*2\r\n$3\r\nfoo\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n",
        b"QUIT\r\nPING\r\n",
        b"SUBSCRIBE a b a\r\nPSUBSCRIBE n*\r\nGET x\r\nPING\r\nPING hi\r\nPUBLISH a b\r\nUNSUBSCRIBE a b\r\n\
          client id\r\nNOSUCH\r\nget\r\nPUNSUBSCRIBE n* x\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nPING\r\n",
        b"SUBSCRIBE a\r\nUNSUBSCRIBE zz\r\nRESET\r\nPING\r\n",
        b"HELLO 3 SETNAME\r\nCLIENT REPLY SKIP\r\nHELLO 3\r\nGET nosuch\r\nMGET nosuch k\r\nCONFIG GET save\r\nCONFIG GET nosuch\r\n\
          SUBSCRIBE a b\r\nPING\r\nPING hi\r\nPUBLISH a hi\r\nPSUBSCRIBE *\r\nPUBLISH b x\r\nPUBSUB NUMSUB a\r\nUNSUBSCRIBE b a\r\n\
          PUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\nWATCH k\r\nSET k 1\r\nMULTI\r\nEXEC\r\nINFO nosuch\r\nRESET\r\nGET nosuch\r\n",
        b"CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE a\r\nPING\r\nUNSUBSCRIBE\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n",
        b"MULTI\r\nSET k 1\r\nSUBSCRIBE a\r\nEXEC\r\nMULTI\r\nGET\r\nQUIT\r\nPING\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nSET k 1\r\n",
        b"Host: x\r\nSET k 1\r\n",
        b"*2\r\n$4\r\npost\r\n$1\r\nx\r\nPING\r\n",
        b"SUBSCRIBE\r\nPSUBSCRIBE\r\nPUBLISH a\r\nPUBLISH nobody hears\r\nQUIT\r\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    inputs.push(b"*".repeat(70_000));
    inputs.push([b"*1\r\n", b"$".repeat(70_000).as_slice()].concat());
    inputs.push(b"x".repeat(70_000));
    inputs
}

#[test]
#[ignore = "needs redis-server"]
fn the_same_bytes_get_the_same_bytes() {
    let (redis, server) = (Redis::start(), Server::of("kv").start());
    for input in raw_inputs() {
        let [expected, found] =
            [redis.connect(), Wire::connect(&server.address)].map(|mut wire| {
                wire.send(&input);
                wire.finish();
                shown(&wire.read_to_end())
            });
        let start = &input[..input.len().min(100)];
        assert_eq!(found, expected, "{:?}", shown(start));
    }
}

/// Runs a client of the server, with a deadline.
fn run(program: &str, args: &[&str], server: &Server) -> Output {
    let (host, port) = server.address.rsplit_once(':').expect("host:port");
    let seconds = DEADLINE.as_secs() * 3;
    Command::new("timeout")
        .args([&seconds.to_string(), program, "-h", host, "-p", port])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn cli(server: &Server, args: &[&str]) -> String {
    let output = run("redis-cli", args, server);
    assert!(output.status.success(), "redis-cli {args:?}: {output:?}");
    shown(&output.stdout).trim_end().to_owned()
}

#[test]
#[ignore = "needs redis-tools"]
fn redis_cli_is_content() {
    let server = Server::of("kv").start();
    assert_eq!(cli(&server, &["ping"]), "PONG");
    assert_eq!(cli(&server, &["set", "name", "heirloom", "ex", "100"]), "OK");
    assert_eq!(cli(&server, &["get", "name"]), "heirloom");
    assert_eq!(cli(&server, &["ttl", "name"]), "100");
    assert_eq!(cli(&server, &["get"]), "ERR wrong number of arguments for 'get' command");
    for number in 0..100 {
        assert_eq!(cli(&server, &["set", &format!("key:{number}"), "x"]), "OK");
    }
    let scanned = cli(&server, &["--scan", "--pattern", "key:*"]);
    assert_eq!(scanned.lines().count(), 100);
    assert!(cli(&server, &["info", "server"]).contains("heirloom_generation:0"));
    assert!(cli(&server, &["command", "count"]).parse::<u32>().is_ok_and(|count| count > 40));
    let bigkeys = cli(&server, &["--bigkeys"]);
    assert!(bigkeys.contains("101 strings"), "{bigkeys}");
}

/// The promise of a restart, with somebody else's load: connections that stand stay with the old
/// process until they end, new ones go to the new process, and none of them sees an error.
#[test]
#[ignore = "needs redis-tools"]
fn redis_benchmark_sees_no_error_through_twenty_restarts() {
    let server = Server::of("kv").start();
    let address = server.address.clone();
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let mut benchmark = Command::new("timeout")
        .args(["60", "redis-benchmark", "-h", host, "-p", port])
        .args(["-t", "ping,set,get", "-c", "50", "-P", "16", "-n", "400000", "--csv"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("redis-benchmark is installed");
    let mut during = 0;
    for _ in 0..20 {
        server.restart(Signal::SIGHUP);
        during += usize::from(benchmark.try_wait().expect("our child").is_none());
    }
    let output = benchmark.wait_with_output().expect("our child");
    let (out, errors) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{out}\n{errors}");
    assert_eq!(out.lines().filter(|line| line.starts_with('"')).count(), 5, "{out}");
    assert!(!out.to_lowercase().contains("error"), "{out}");
    assert_eq!(during, 20, "the benchmark was over before the restarts");
    assert!(Path::new(&format!("/proc/{}", server.pid())).exists());
}
