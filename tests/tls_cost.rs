//! What TLS connections cost that are idle, and that move. It says so of the echo server, optimized:
//!
//! ```sh
//! cargo build --profile bench --features tls --example echo
//! EXAMPLES=$PWD/target/release/examples cargo test --features tls --test promises tls_cost:: -- --ignored --nocapture
//! ```

use std::{fs, net::TcpStream, sync::Arc};

use crate::common::{
    Server,
    restart::Engine,
    tls::{BOTH, Pki, TlsClient},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many as there is room for, with some for the rest of the process.
fn count() -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to the hard one");
    10_000.min(most as usize - 500)
}

/// Bytes that this process has and no other.
fn memory(pid: i32) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is there");
    let anonymous = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("a size");
    kib.trim().parse::<usize>().expect("a number") * 1024
}

/// Prints for how long nobody served in each restart, and answers how many bytes one of `count` idle clients takes, of which some
/// stay to be heard.
fn measure<C>(
    server: &Server,
    count: usize,
    connect: impl Fn() -> C,
    idle: fn(C) -> TcpStream,
    ask: fn(&mut C, &str) -> String,
) -> usize {
    let ask = |client: &mut C, words: &str| assert_eq!(ask(client, words), words);
    ask(&mut connect(), "what only the first one needs");
    let before = memory(server.pid());
    let served = || {
        let mut client = connect();
        ask(&mut client, "hello");
        client
    };
    let mut heard: Vec<C> = (0..50).map(|_| served()).collect();
    let others: Vec<TcpStream> = (0..count - heard.len()).map(|_| idle(served())).collect();
    let each = (memory(server.pid()) - before) / count;
    let mut restarts = 0;
    for round in 0..3 {
        for engine in [Engine::Fork, Engine::ForkExec] {
            server.restart(engine.signal());
            heard.iter_mut().for_each(|client| ask(client, &format!("still there {round}")));
            restarts += 1;
            let line = server.wait_lines("none was served for", restarts).pop().expect("a line");
            println!("{engine:?}: {}", line.trim_end());
        }
    }
    drop(others);
    each
}

#[test]
#[ignore = "needs 10,000 descriptors and an optimized build"]
fn an_idle_connection_and_a_move_cost_what_was_promised() {
    let count = count();
    let echo =
        || Server::of("echo").arg("--move").arg("--probation").arg("0").env("RUST_LOG", "info");
    let plain = {
        let server = echo().start();
        measure(
            &server,
            count,
            || server.connect(),
            |client| client.stream,
            |client, words| client.ask(words),
        )
    };
    println!("plain: {plain} bytes an idle connection");
    let pki = Pki::new();
    pki.make("localhost");
    let server = echo()
        .arg("--tls-cert")
        .arg(pki.path("localhost.pem"))
        .arg("--tls-key")
        .arg(pki.path("localhost.key"))
        .start();
    let config = Arc::new(pki.client(BOTH));
    let connect = || TlsClient::connect(&server.address, Arc::clone(&config), "localhost");
    let each = measure(
        &server,
        count,
        connect,
        |client| client.stream.into_inner().sock,
        |client, words| client.ask(words),
    );
    println!("TLS: {each} bytes an idle connection, {} beside a plain one", each - plain);
}
