//! The dashboard without a browser: its page, its stream through restarts, and what each button does.

mod common;
#[path = "common/http.rs"]
mod http;

use std::{
    fs::File,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use common::{Client, Dir, Server, example, run_to_end, wait_gone, with_own_temp};
use http::{Reply, ask, read_head};

/// "At once", on a loaded machine. The observer's patience with a silent server is twice as long.
const LIMIT: Duration = Duration::from_secs(5);

fn start(probation: &str) -> Server {
    Server::of("dashboard").arg("--probation").arg(probation).start_as(with_own_temp)
}

/// One button, on a connection of its own: which process answers is no matter.
fn press(server: &Server, path: &str) {
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let reply = ask(&mut server.connect(), &request);
    assert!(reply.head.starts_with("HTTP/1.1 200 "), "{path}: {reply:?}");
}

/// The page's stream: one reply that does not end, whose events are counted without a gap.
struct Stream {
    client: Client,
    last: Option<u64>,
}

impl Stream {
    fn open(server: &Server) -> Stream {
        let mut client = server.connect();
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        let head: Reply = read_head(&mut client);
        assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
        Stream { client, last: None }
    }

    /// The next event: its name and its data.
    fn next(&mut self) -> (String, String) {
        let size = usize::from_str_radix(&self.client.line(), 16).expect("the size of a chunk");
        let chunk = String::from_utf8(self.client.read_exact(size)).expect("text");
        assert_eq!(self.client.line(), "");
        let field = |name: &str| {
            let value = chunk.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_else(|| panic!("no {name} in {chunk}")).to_owned()
        };
        let id: u64 = field("id: ").parse().expect("a number");
        assert!(self.last.is_none_or(|last| id == last + 1), "{id} follows {:?}", self.last);
        self.last = Some(id);
        (field("event: "), field("data: "))
    }

    /// Reads on to an event of this name whose data `fits`, and answers the data.
    fn until(&mut self, name: &str, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + common::DEADLINE;
        loop {
            let (event, data) = self.next();
            if event == name && fits(&data) {
                return data;
            }
            assert!(Instant::now() < until, "no {name} that fits; the last: {data}");
        }
    }

    /// Reads on until the newest generation is this one and serves; answers its picture.
    fn settled(&mut self, generation: u64) -> String {
        let newest = format!("{{\"number\":{generation},");
        self.until("picture", |data| {
            let of_newest = data.split("\"generations\":[").nth(1).unwrap_or_default();
            let line = of_newest.split('}').next().unwrap_or_default();
            of_newest.starts_with(&newest) && line.contains("\"phase\":\"serving\"")
        })
    }
}

/// How many clients were answered last by this generation.
fn clients(picture: &str, generation: u64) -> usize {
    let list = picture.split_once("\"clients\":{").map_or("", |(_, rest)| rest);
    let list = list.split('}').next().unwrap_or_default();
    let Some((_, list)) = list.split_once(&format!("\"{generation}\":[")) else { return 0 };
    list.split(']').next().unwrap_or_default().split(',').count()
}

fn nothing_failed(picture: &str) {
    assert!(picture.contains("\"failed\":0,"), "{picture}");
}

#[test]
fn a_port_in_use_is_one_line_and_status_2_at_once() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("one").to_string();
    let dir = Dir::new();
    let mut command = Command::new(example("dashboard"));
    command.args(["--listen", &address, "--pid-file"]).arg(dir.path("pid"));
    let begun = Instant::now();
    let output = run_to_end(&mut with_own_temp(command));
    assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    let stderr = String::from_utf8(output.stderr).expect("text");
    let begin = format!("dashboard: listen on {address}: Address already in use");
    assert!(stderr.starts_with(&begin) && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "there is nothing to open");
    let left = std::fs::read_dir(dir.path("")).expect("the directory").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn its_first_line_is_the_address_to_open() {
    let dir = Dir::new();
    let path = dir.path("stdout");
    let file = File::create(&path).expect("a file");
    let server = Server::of("dashboard").start_as(|command| {
        let mut command = with_own_temp(command);
        command.stdout(file);
        command
    });
    let stdout = std::fs::read_to_string(&path).expect("text");
    assert_eq!(stdout, format!("open http://{}/\n", server.address));
}

#[test]
fn the_page_is_served_whole() {
    let server = start("0.05");
    let mut client = server.connect();
    let page = ask(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.body, include_bytes!("../examples/dashboard/page.html"));
    let wrong = ask(&mut client, "GET /doom HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wrong.field("Allow"), Some("POST"));
    let none = ask(&mut client, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(none.head.starts_with("HTTP/1.1 404 "), "{none:?}");
}

#[test]
fn the_stream_goes_through_ten_restarts_without_a_gap() {
    let server = start("0.05");
    let mut stream = Stream::open(&server);
    let buttons =
        ["/restart/fork", "/restart/fork-exec/move", "/restart/fork-exec", "/restart/fork/move"];
    for generation in 1..=10 {
        press(&server, buttons[generation as usize % buttons.len()]);
        let by = format!("{{\"generation\":{generation},");
        stream.until("started", |data| data.starts_with(&by));
        nothing_failed(&stream.settled(generation));
    }
}

#[test]
fn clients_come_and_go_at_the_buttons() {
    let server = start("0.05");
    let mut stream = Stream::open(&server);
    stream.until("picture", |data| clients(data, 0) == 100);
    press(&server, "/clients/add");
    stream.until("picture", |data| clients(data, 0) == 200);
    press(&server, "/clients/clear");
    let empty = stream.until("picture", |data| clients(data, 0) == 0);
    nothing_failed(&empty);
}

#[test]
fn clients_stay_and_drain_or_go_along() {
    let server = start("0.05");
    let mut stream = Stream::open(&server);
    stream.until("picture", |data| clients(data, 0) == 100);
    let first = server.pid();
    press(&server, "/restart/fork");
    let early = stream.settled(1);
    assert!(clients(&early, 0) > 0, "they stay at first: {early}");
    let late = stream.until("picture", |data| clients(data, 1) == 100);
    nothing_failed(&late);
    wait_gone(first);
    for (generation, path) in [(2, "/restart/fork/move"), (3, "/restart/fork-exec/move")] {
        press(&server, path);
        let moved = stream.until("picture", |data| clients(data, generation) == 100);
        nothing_failed(&moved);
    }
    // They have gone along: not one of them was told to leave.
    let line = ", 0 stay; none was served for";
    server.wait_lines(line, 2); // the old one's word may come a moment later
    assert_eq!(server.count_lines(line), 2, "{}", server.log());
}

#[test]
fn a_new_generation_that_fails_costs_nobody_anything() {
    let server = start("0.05");
    let mut stream = Stream::open(&server);
    stream.until("picture", |data| clients(data, 0) == 100);
    let failures = [
        ("/restart/fork", "in its probation: exit status 70"),
        ("/restart/fork-exec/move", "it was doomed to fail by the page"),
    ];
    for (path, why) in failures {
        press(&server, "/doom");
        press(&server, path);
        let failed = stream.until("failed", |_| true);
        assert!(failed.contains(why), "{failed}");
        let after = stream.settled(0);
        assert_eq!(clients(&after, 0), 100, "{after}");
        nothing_failed(&after);
    }
    press(&server, "/restart/fork");
    stream.settled(2); // the next one does not; the one that died on probation had number 1
}

#[test]
fn a_generation_on_probation_is_rolled_back() {
    let server = start("20");
    let mut stream = Stream::open(&server);
    stream.until("picture", |data| clients(data, 0) == 100);
    let mut kept = server.connect();
    ask(&mut kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    press(&server, "/restart/fork/move");
    stream.until("picture", |data| {
        data.contains("\"phase\":\"probation\"") && clients(data, 1) == 100
    });
    press(&server, "/roll-back");
    // Clients and page are handed back: the stream goes on, and the connection of the page as well.
    nothing_failed(&stream.until("picture", |data| clients(data, 0) == 100));
    let reply = ask(&mut kept, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(reply.head.starts_with("HTTP/1.1 200"), "{reply:?}");
    // What is pressed now is done by the generation that serves, and the page sees it.
    press(&server, "/restart/fork/move");
    stream.until("started", |data| data.starts_with("{\"generation\":2,"));
    nothing_failed(&stream.until("picture", |data| clients(data, 2) == 100));
}
