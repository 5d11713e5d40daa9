//! The dashboard without a browser: its page, its stream through restarts, and what each button does.

use std::{
    fs::File,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{
    self, Dir, Server,
    events::{Stream, clients},
    example,
    http::{ask, read_head},
    run_to_end, wait_gone, with_own_temp,
};
use nix::sys::signal::Signal;

/// "At once", on a loaded machine. The observer's patience with a silent server is twice as long.
const LIMIT: Duration = Duration::from_secs(5);

fn start(probation: &str) -> Server {
    Server::of("dashboard").arg("--probation").arg(probation).start_as(with_own_temp)
}

/// A head with these fields beside `Host`, each with its end.
fn request(server: &Server, method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", server.address)
}

/// One button, on a connection of its own: which process answers is no matter.
fn press(server: &Server, path: &str) {
    let reply = ask(&mut server.connect(), &request(server, "POST", path, ""));
    assert!(reply.head.starts_with("HTTP/1.1 200 "), "{path}: {reply:?}");
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
    let page = ask(&mut client, &request(&server, "GET", "/", ""));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.field("Date").is_some(), "{}", page.head);
    let body = String::from_utf8(page.body).expect("text");
    assert!(body.starts_with("<!doctype html>") && body.ends_with("</html>\n"));
    for part in [
        include_str!("../examples/dashboard/page/style.css"),
        include_str!("../examples/dashboard/page/body.html"),
        include_str!("../examples/dashboard/page/picture.js"),
        include_str!("../examples/dashboard/page/charts.js"),
        include_str!("../examples/dashboard/page/page.js"),
    ] {
        assert_eq!(body.matches(part).count(), 1);
    }
    let elsewhere = ["src=", "href=\"http", "url(", "@import"];
    assert!(elsewhere.iter().all(|how| !body.contains(how)), "it needs nothing from elsewhere");
    let wrong = ask(&mut client, &request(&server, "GET", "/doom", ""));
    assert_eq!(wrong.field("Allow"), Some("POST"));
    let none = ask(&mut client, &request(&server, "GET", "/none", ""));
    assert!(none.head.starts_with("HTTP/1.1 404 "), "{none:?}");
    // A reply to HEAD is a head, whatever it says: the next one comes right behind it.
    for path in ["/", "/none", "/doom"] {
        client.send(request(&server, "HEAD", path, ""));
        assert!(read_head(&mut client).head.starts_with("HTTP/1.1 "), "{path}");
    }
    ask(&mut client, &request(&server, "GET", "/", ""));
}

/// Any page in the user's browser can send a POST here, and any name can be made to lead here.
#[test]
fn no_other_page_presses_a_button() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let own = server.address.clone();
    let port = own.rsplit(':').next().expect("a port");
    let foreign = |origin: &str| (own.clone(), format!("Origin: {origin}\r\n"));
    let named = |host: String| (host, String::new());
    for (host, fields) in [
        foreign("http://evil.example"),
        foreign("null"),
        foreign("http://127.0.0.1"),
        foreign(&format!("http://localhost:{port}")),
        named(format!("evil.example:{port}")),
        (format!("evil.example:{port}"), format!("Origin: http://evil.example:{port}\r\n")),
    ] {
        for (method, path) in [
            ("POST", "/restart/fork"),
            ("POST", "/clients/clear"),
            ("GET", "/events"),
            ("GET", "/"),
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
            let reply = ask(&mut server.connect(), &request);
            assert!(reply.head.starts_with("HTTP/1.1 403 "), "{request}: {reply:?}");
        }
    }
    // A form, which has a body.
    let form = "Origin: http://evil.example\r\nContent-Length: 3\r\n";
    let reply = ask(&mut server.connect(), &(request(&server, "POST", "/doom", form) + "a=b"));
    assert!(reply.head.starts_with("HTTP/1.1 403 "), "{reply:?}");
    let later = stream.until("picture", |_| true);
    assert_eq!(clients(&later, 0), 100, "{later}");
    // Its own page may.
    let own = format!("Origin: http://{own}\r\n");
    let reply = ask(&mut server.connect(), &request(&server, "POST", "/clients/add", &own));
    assert!(reply.head.starts_with("HTTP/1.1 200 "), "{reply:?}");
    stream.until("picture", |data| clients(data, 0) == 200);
    // And nobody shows it in a frame, over which he could lay buttons of his own.
    let page = ask(&mut server.connect(), &request(&server, "GET", "/", ""));
    let policy = page.field("Content-Security-Policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

/// Who comes late sees it, too: the observer has kept it.
#[test]
fn the_journal_names_who_came_who_stays_and_who_failed() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let first = server.pid();
    press(&server, "/restart/fork-exec/move");
    stream.settled(1);
    wait_gone(first);
    let second = server.pid();
    press(&server, "/doom");
    press(&server, "/restart/fork");
    stream.until("failed", |_| true);
    let told = [
        format!("Generation 0, pid {first}, serves."),
        format!("Generation 1, pid {second}, made by fork-exec, serves: on probation for 0.05 s."),
        format!("Generation 1, pid {second}, stays. Connections that moved stood still for "),
        format!("Generation 0, pid {first}, has ended."),
        "The next new generation is to fail.".to_owned(),
        "Generation 2, by fork, failed: after_fork_in_child: it was doomed to fail by the page. \
         Generation 1 serves on."
            .to_owned(),
    ];
    let mut late = Stream::open(server.connect(), &server.address);
    let picture = late.until("picture", |data| told.iter().all(|line| data.contains(line)));
    assert!(
        !picture.contains("Generation 2, pid"),
        "the one that failed has not served: {picture}"
    );
    nothing_failed(&picture);
}

/// What the old process alone knows, which has no page left to tell it to.
#[test]
fn the_page_knows_how_the_last_restart_went() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
    stream.until("picture", |data| data.contains("\"restart\":null") && clients(data, 0) == 100);
    press(&server, "/restart/fork-exec/move");
    let own = "\"restart\":{\"generation\":1,\"engine\":\"fork-exec\",\"stays\":true,\"took\":";
    let picture = stream.until("picture", |data| data.contains(own));
    let (_, rest) = picture.split_once(own).expect("it is there");
    assert!(rest.contains(" KiB by a scribe in ") && rest.contains(" round"), "{rest}");
    assert!(!rest.contains("\"still\":null") && !rest.contains("\"moved\":null"), "{rest}");
    stream.settled(1);
    press(&server, "/restart/fork");
    let own = "\"restart\":{\"generation\":2,\"engine\":\"fork\",\"stays\":true,";
    let picture = stream.until("picture", |data| data.contains(own));
    assert!(picture.contains("\"state\":null,"), "memory is not copied: {picture}");
    // A signal asks for it as well as a button.
    stream.settled(2);
    server.restart(Signal::SIGUSR2);
    stream.until("picture", |data| data.contains("\"restart\":{\"generation\":3,"));
}

/// One client is one dot, while they come, stay, go along, and drain.
#[test]
fn three_hundred_clients_are_three_hundred() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
    press(&server, "/clients/add");
    press(&server, "/clients/add");
    stream.until("picture", |data| clients(data, 0) == 300);
    for (generation, path) in
        [(1, "/restart/fork/move"), (2, "/restart/fork-exec"), (3, "/restart/fork")]
    {
        press(&server, path);
        let until = Instant::now() + common::DEADLINE;
        loop {
            let picture = stream.until("picture", |_| true);
            let all: usize = (0..=generation).map(|it| clients(&picture, it)).sum();
            assert!(all <= 300, "{all} are shown: {picture}");
            nothing_failed(&picture);
            if clients(&picture, generation) == 300 {
                break;
            }
            assert!(Instant::now() < until, "{picture}");
        }
    }
}

#[test]
fn the_stream_goes_through_ten_restarts_without_a_gap() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
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
    let mut stream = Stream::open(server.connect(), &server.address);
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
    let mut stream = Stream::open(server.connect(), &server.address);
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
    let lines = server.wait_lines("none was served for", 3); // the old one's word may come a moment later
    for line in &lines[1..] {
        // But for who has pressed the button, who may be on the way out.
        let moved = line.split_once("moved: ").and_then(|(_, rest)| rest.split(' ').next());
        let moved: u32 = moved.and_then(|count| count.parse().ok()).expect("a number");
        assert!(moved > 100, "all clients and this stream: {line}");
    }
}

#[test]
fn a_new_generation_that_fails_costs_nobody_anything() {
    let server = start("0.05");
    let mut stream = Stream::open(server.connect(), &server.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let failures = [
        ("/restart/fork", "it was doomed to fail by the page"),
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
    stream.settled(1); // the next one does not; those that were never ready had this number
}

#[test]
fn a_generation_on_probation_is_rolled_back() {
    let server = start("20");
    let mut stream = Stream::open(server.connect(), &server.address);
    stream.until("picture", |data| clients(data, 0) == 100);
    let mut kept = server.connect();
    let page = request(&server, "GET", "/", "");
    ask(&mut kept, &page);
    press(&server, "/restart/fork/move");
    stream.until("picture", |data| {
        data.contains("\"phase\":\"probation\"") && clients(data, 1) == 100
    });
    press(&server, "/roll-back");
    // Clients and page are handed back: the stream goes on, and the connection of the page as well.
    nothing_failed(&stream.until("picture", |data| clients(data, 0) == 100));
    let reply = ask(&mut kept, &page);
    assert!(reply.head.starts_with("HTTP/1.1 200"), "{reply:?}");
    // What is pressed now is done by the generation that serves, and the page sees it.
    press(&server, "/restart/fork/move");
    stream.until("started", |data| data.starts_with("{\"generation\":2,"));
    nothing_failed(&stream.until("picture", |data| clients(data, 2) == 100));
}

/// Whether this generation is the newest of its worker, and serves.
fn serves(picture: &str, worker: u32, generation: u64) -> bool {
    let list = picture.split_once("\"generations\":[").map_or("", |(_, rest)| rest);
    let list = list.split(']').next().unwrap_or_default();
    let own = format!("\"worker\":{worker}");
    let newest = list.split('}').find(|line| line.ends_with(&own)).unwrap_or_default();
    newest.contains(&format!("\"number\":{generation},"))
        && newest.contains("\"phase\":\"serving\"")
}

#[test]
fn each_worker_has_its_line_and_a_restart_goes_through_all_of_them() {
    let setup = Server::of("dashboard").arg("--probation").arg("0.05");
    let server = setup.arg("--workers").arg("2").start_as(with_own_temp);
    let mut stream = Stream::open(server.connect(), &server.address);
    let all = |data: &str, generation: u64| {
        let of = |worker| clients(data, format!("{worker}.{generation}"));
        serves(data, 0, generation) && serves(data, 1, generation) && of(0) + of(1) == 100
    };
    stream.until("picture", |data| all(data, 0));
    let buttons = ["/restart/fork", "/restart/fork-exec/move", "/restart/fork/move"];
    for (generation, button) in (1..).zip(buttons) {
        press(&server, button);
        nothing_failed(&stream.until("picture", |data| all(data, generation)));
    }
    // The first that is not replaced ends it, and what was to fail has failed.
    press(&server, "/doom");
    stream.until("picture", |data| data.contains("\"doomed\":true"));
    press(&server, "/restart/fork");
    let failed = "Worker 0, generation 4, by fork, failed: after_fork_in_child: it was doomed to fail by \
        the page. Worker 0, generation 3 serves on.";
    let picture = stream.until("picture", |data| {
        data.contains(failed) && data.contains("\"doomed\":false") && all(data, 3)
    });
    nothing_failed(&picture);
    press(&server, "/restart/fork-exec");
    nothing_failed(&stream.until("picture", |data| all(data, 4)));
}
