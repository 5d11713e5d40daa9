//! The dashboard in a real browser: each button is clicked, and the page shows what came of it. Speaks
//! WebDriver, which is HTTP and JSON, to chromium's own driver.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{DEADLINE, Dir, Server, wait_for, with_own_temp};

/// A browser with one page, and the driver process that has started it.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: Dir,
}

impl Browser {
    fn open(url: &str, scheme: &str) -> Browser {
        let profile = Dir::new();
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", free.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut browser =
            Browser { driver, port: free.port(), session: String::new(), _profile: profile };
        wait_for("the driver", || TcpStream::connect(free).is_ok());
        let data = format!("--user-data-dir={}", browser._profile.path("profile").display());
        let scheme =
            format!("--blink-settings=preferredColorScheme={}", u8::from(scheme != "dark"));
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,1100",
            &data,
            &scheme,
        ];
        let flags = flags.map(|flag| format!("\"{flag}\"")).join(",");
        let reply = browser.call(
            "POST",
            "/session",
            &format!(
                "{{\"capabilities\":{{\"alwaysMatch\":{{\"browserName\":\"chrome\",\
                 \"goog:chromeOptions\":{{\"args\":[{flags}]}}}}}}}}"
            ),
        );
        browser.session = after(&reply, "\"sessionId\":\"").to_owned();
        browser.command("/url", &format!("{{\"url\":\"{url}\"}}"));
        browser
    }

    /// One request to the driver on a connection of its own, and the body of the reply.
    fn call(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let port = self.port;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("the driver takes it");
        // The driver keeps the connection, whatever it is asked: the length tells where the reply ends.
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            assert!(reader.read_line(&mut head).expect("a reply in time") > 0, "no reply: {head}");
            let line = head[from..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut reply = vec![0; length];
        reader.read_exact(&mut reply).expect("a body in time");
        let reply = String::from_utf8(reply).expect("JSON");
        assert!(head.starts_with("HTTP/1.1 200"), "{path} {body}: {reply}");
        reply
    }

    fn command(&self, command: &str, body: &str) -> String {
        self.call("POST", &format!("/session/{}{command}", self.session), body)
    }

    /// The value of a script's expression, which is to be a string.
    fn eval(&self, expression: &str) -> String {
        let script =
            format!("return String({expression})").replace('\\', "\\\\").replace('"', "\\\"");
        let reply =
            self.command("/execute/sync", &format!("{{\"script\":\"{script}\",\"args\":[]}}"));
        after(&reply, "\"value\":\"").to_owned()
    }

    /// Clicks a button as a person would: it must be there, visible, and enabled.
    fn click(&self, text: &str) {
        let enabled = format!(
            "[...document.querySelectorAll('button')].some(b => b.textContent === '{text}' && !b.disabled)"
        );
        self.wait(&enabled, "true");
        let query = format!("{{\"using\":\"xpath\",\"value\":\"//button[.='{text}']\"}}");
        let found = self.command("/element", &query);
        let (_, element) = found.split_once("\":{\"").expect("an element");
        let element = after(element, "\":\"");
        self.command(&format!("/element/{element}/click"), "{}");
    }

    /// Waits until the page shows it.
    fn wait(&self, expression: &str, value: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.eval(expression);
            if found == value {
                return;
            }
            assert!(Instant::now() < until, "{expression} is {found:?} and not {value:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps a picture of the page, if `HEIRLOOM_SCREENSHOTS` names a directory for it.
    fn screenshot(&self, name: &str) {
        let Some(dir) = std::env::var_os("HEIRLOOM_SCREENSHOTS") else { return };
        let reply = self.call("GET", &format!("/session/{}/screenshot", self.session), "");
        let image = base64(after(&reply, "\"value\":\""));
        std::fs::write(std::path::Path::new(&dir).join(name), image).expect("a file");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// What comes after `start`, up to the next quotation mark.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split('"').next().unwrap_or_default()
}

fn base64(text: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = text.bytes().filter_map(|byte| letters.iter().position(|&letter| letter == byte));
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_usize, 0);
    for value in values {
        (bits, count) = ((bits << 6 | value) & 0xffff, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Dots of a generation: its colour is its own among six.
fn dots(generation: u64) -> String {
    format!(
        "[...document.querySelectorAll('.dot')].filter(d => d.style.fill === 'var(--g{generation})' \
         && d.style.opacity !== '0').length"
    )
}

fn box_of(generation: u64) -> String {
    format!("document.querySelector('.box[data-generation=\\'{generation}\\']')?.dataset.phase")
}

fn click_through(scheme: &str) {
    let server = Server::of("dashboard").arg("--probation").arg("3").start_as(with_own_temp);
    let page = Browser::open(&format!("http://{}/", server.address), scheme);
    let is_dark = "matchMedia('(prefers-color-scheme: dark)').matches";
    page.wait(is_dark, if scheme == "dark" { "true" } else { "false" });
    page.wait(&dots(0), "100");
    page.click("Add 100 clients");
    page.wait(&dots(0), "200");
    page.screenshot(&format!("{scheme}-clients.png"));
    page.click("Restart by fork");
    page.wait(&box_of(1), "probation");
    page.screenshot(&format!("{scheme}-probation.png"));
    page.wait(&format!("{} > 20", dots(1)), "true");
    page.screenshot(&format!("{scheme}-draining.png"));
    page.wait(&dots(1), "200");
    page.click("Restart by fork-exec");
    page.wait(&dots(2), "200");
    page.click("Fork, with move");
    page.wait(&dots(3), "200");
    page.screenshot(&format!("{scheme}-moved.png"));
    page.click("Fork-exec, with move");
    page.wait(&dots(4), "200");
    page.wait(&box_of(4), "serving");
    page.click("Make the next one fail");
    page.wait("document.getElementById('doom').getAttribute('aria-pressed')", "true");
    page.click("Restart by fork-exec");
    page.wait("document.querySelectorAll('#journal .failed').length", "1");
    page.wait(&box_of(4), "serving");
    page.wait(&dots(4), "200");
    page.screenshot(&format!("{scheme}-failed.png"));
    page.wait("document.getElementById('opened').textContent", "1"); // so far no restart has ended it
    page.click("Restart by fork");
    page.click("Roll back");
    page.wait(&dots(4), "200");
    let newest = "document.querySelector('#journal li').textContent";
    page.screenshot(&format!("{scheme}-back.png"));
    page.click("Fork-exec, with move");
    page.wait(&dots(0), "200"); // six has the colour of zero
    page.wait(&format!("{newest}.includes('Generation 6, ')"), "true");
    page.click("Send clients home");
    page.wait("document.querySelectorAll('.dot').length", "0");
    page.wait("document.getElementById('failed').textContent", "0");
    page.wait("document.getElementById('gaps').textContent", "0");
}

#[test]
#[ignore = "needs chromium"]
fn each_button_does_what_it_says_in_light() {
    click_through("light");
}

#[test]
#[ignore = "needs chromium"]
fn each_button_does_what_it_says_in_dark() {
    click_through("dark");
}
