//! Datagrams on a wildcard: an answer leaves from the address that was asked, whichever generation gives it,
//! since a connected client hears no other.

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt, time::Duration};

use crate::common::{
    DEADLINE, Dir, Server, example,
    restart::{Engine, sockets_of},
    wait_gone, while_stopped,
};

for_both_engines!(an_answer_comes_from_the_address_that_was_asked);

/// A client that hears one address only.
struct Client(UdpSocket);

impl Client {
    fn of(address: &str, port: u16) -> Client {
        let any = if address.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(any).expect("a free port");
        socket.connect(format!("{address}:{port}")).expect("an address");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Client(socket)
    }

    fn ask(&self, text: &str) -> Vec<String> {
        self.0.send(text.as_bytes()).expect("loopback takes it");
        self.answer()
    }

    /// By words: the flow, the number, the count and the process.
    fn answer(&self) -> Vec<String> {
        let mut buffer = [0; 1000];
        let length = self.0.recv(&mut buffer).expect("an answer from whom was asked");
        String::from_utf8_lossy(&buffer[..length]).split(' ').map(str::to_owned).collect()
    }
}

fn an_answer_comes_from_the_address_that_was_asked(engine: Engine) {
    let loopback = ["127.0.0.1", "127.0.0.2", "127.1.2.3"];
    for (wildcard, asked) in [
        ("0.0.0.0:0", &loopback[..]),
        ("[::]:0", &["127.0.0.2", "[::1]", "127.0.0.1"]), // one socket for both
    ] {
        let server = Server::of("flows").arg("--datagrams").arg(wildcard).start();
        let ready = server.wait_line("ready: generation 0");
        let port = ready.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let first = server.pid();
        let clients: Vec<_> = asked.iter().map(|address| Client::of(address, port)).collect();
        let flows: Vec<_> = clients.iter().map(|client| client.ask("new 1 hello")).collect();
        // In one batch, and each to another peer than the one before.
        while_stopped(first, || {
            for number in 2..12 {
                for (client, flow) in clients.iter().zip(&flows) {
                    let text = format!("{} {number} hello", flow[0]);
                    client.0.send(text.as_bytes()).expect("loopback takes it");
                }
            }
        });
        for number in 2..12 {
            for (client, flow) in clients.iter().zip(&flows) {
                assert_eq!(client.answer()[..2], [flow[0].clone(), number.to_string()]);
            }
        }
        // Those of a flow are the old one's, to which the new one forwards them.
        let new = server.restart(engine.signal());
        for (client, flow) in clients.iter().zip(&flows) {
            let answer = client.ask(&format!("{} 12 hello", flow[0]));
            assert_eq!(answer[..4], [&flow[0], "12", "12", &first.to_string()]);
            let answer = client.ask("new 1 hello");
            assert_eq!(answer[3], new.to_string());
            client.ask(&format!("{} 2 bye", answer[0]));
            client.ask(&format!("{} 13 bye", flow[0]));
        }
        wait_gone(first);
    }
}

/// The same socket, by another name: the old generation calls it otherwise, and has its flows all the same.
#[test]
fn a_flow_stays_where_it_is_when_its_socket_is_spelled_otherwise() {
    let dir = Dir::new();
    let listed = Listed::start(&dir, "127.0.0.1:0");
    let client = Client::of("127.0.0.1", listed.port);
    let (flow, old) = (client.ask("new 1 hello"), listed.server.pid());
    listed.list(&format!("localhost:{}", listed.port));
    let new = listed.server.restart(Engine::ForkExec.signal());
    let answer = client.ask(&format!("{} 2 hello", flow[0]));
    assert_eq!((answer[2].as_str(), answer[3].clone()), ("2", old.to_string()));
    assert_eq!(client.ask("new 1 hello")[3], new.to_string());
}

/// A wildcard cannot take the place of an address under it: who still answers its flows by the narrow
/// socket would be sent what the wide one is to have.
#[test]
fn a_wider_or_narrower_socket_for_datagrams_is_refused_with_what_helps() {
    for (first, second) in
        [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "[::]")]
    {
        let dir = Dir::new();
        let listed = Listed::start(&dir, &format!("{first}:0"));
        let (client, port) = (Client::of("127.0.0.1", listed.port), listed.port);
        let old = listed.server.pid();
        listed.list(&format!("{second}:{port}"));
        listed.server.signal(Engine::ForkExec.signal());
        let why = listed.server.wait_line("before it was ready");
        let socket =
            format!("datagrams {second}:{port}: the socket at {first}:{port} was passed on");
        assert!(why.contains(&socket) && why.contains("stop it and start it anew"), "{why}");
        assert_eq!(client.ask("new 1 hello")[3], old.to_string());
    }
}

/// What the new program does not want, the old one reads as long as it lives.
#[test]
fn datagrams_that_the_new_program_does_not_want_are_the_old_ones() {
    let dir = Dir::new();
    let listed = Listed::start(&dir, "127.0.0.1:0");
    let client = Client::of("127.0.0.1", listed.port);
    let (flow, old) = (client.ask("new 1 hello"), listed.server.pid());
    listed.list("");
    let new = listed.server.restart(Engine::ForkExec.signal());
    assert!(!sockets_of(new).contains(&socket_at(listed.port)));
    for number in 2..5 {
        let answer = client.ask(&format!("{} {number} hello", flow[0]));
        assert_eq!(answer[3], old.to_string());
    }
    client.ask(&format!("{} 5 bye", flow[0]));
    wait_gone(old);
    client.0.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let _ = client.0.send(b"new 1 hello");
    assert!(client.0.recv(&mut [0; 100]).is_err(), "somebody has it");
}

/// The socket that is bound to a port for UDP, by inode.
fn socket_at(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").expect("proc");
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&format!(":{port:04X}"))).expect("it is bound");
    row[9].parse().expect("an inode")
}

/// Flows that read datagrams where a list says: a script puts it in the place of what was there before.
struct Listed {
    server: Server,
    list: std::path::PathBuf,
    port: u16,
}

impl Listed {
    fn start(dir: &Dir, address: &str) -> Listed {
        let (program, list) = (dir.path("program"), dir.path("list"));
        let script = format!(
            "#!/usr/bin/env bash\nargs=()\n\
             while [ $# -gt 0 ]; do\n\
             if [ \"$1\" = --datagrams ]; then shift; else args+=(\"$1\"); fi\nshift\ndone\n\
             for one in $(cat {}); do args+=(--datagrams \"$one\"); done\n\
             exec -a \"$0\" {} \"${{args[@]}}\"\n",
            list.display(),
            example("flows").display()
        );
        // Another process writes it, so that it can be run while some other test forks.
        let mut writer = std::process::Command::new("sh");
        let writer = writer.args(["-c", "printf '%s' \"$1\" >\"$2\"", "sh", &script]).arg(&program);
        assert!(writer.status().expect("sh runs").success());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::write(&list, address).expect("a file of ours");
        let server = Server::of("flows").program(&program).start();
        let ready = server.wait_line("ready: generation 0");
        let port = ready.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Listed { server, list, port }
    }

    /// Where the next program reads.
    fn list(&self, address: &str) {
        fs::write(&self.list, address).expect("a file of ours");
    }
}
