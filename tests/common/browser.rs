//! A browser for tests: chromium, by its own driver, which speaks WebDriver: HTTP and JSON.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{DEADLINE, Dir, wait_for};

/// A browser with one page, and the driver process that has started it.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: Dir,
}

impl Browser {
    pub fn open(url: &str, scheme: &str) -> Browser {
        Browser::open_with(url, scheme, &[])
    }

    /// The same, with flags of chromium's.
    pub fn open_with(url: &str, scheme: &str, more: &[&str]) -> Browser {
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
            "--hide-scrollbars", // a page that becomes longer is as wide as before
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
        let flags = flags.iter().chain(more).map(|flag| format!("\"{flag}\""));
        let flags = flags.collect::<Vec<_>>().join(",");
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
        // Beside heavy load a browser has taken more than 45 s to start.
        stream.set_read_timeout(Some(3 * DEADLINE)).expect("a timeout");
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

    /// The value of a script's expression, as a string.
    pub fn eval(&self, expression: &str) -> String {
        self.run("sync", &format!("return String({expression})"))
    }

    /// The string that a script returns; of an asynchronous one, what it gives to its last argument.
    pub fn run(&self, how: &str, script: &str) -> String {
        let body = serde_json::json!({ "script": script, "args": [] }).to_string();
        let reply = self.command(&format!("/execute/{how}"), &body);
        let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
        reply["value"].as_str().unwrap_or_default().to_owned()
    }

    /// A window of this size. A real one cannot be as narrow as a telephone.
    pub fn resize(&self, width: u32, height: u32) {
        let params = serde_json::json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let cmd = "Emulation.setDeviceMetricsOverride";
        let body = serde_json::json!({ "cmd": cmd, "params": params }).to_string();
        self.command("/goog/cdp/execute", &body);
        // The page hears of it in the next frame, and has drawn when the one behind that begins.
        self.run("async", "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))");
        self.wait("innerWidth", &width.to_string());
    }

    /// Clicks a button as a person would: it must be there, visible, and enabled.
    pub fn click(&self, text: &str) {
        let found = format!(
            "[...document.querySelectorAll('button')].find(b => b.innerText.startsWith('{text}'))"
        );
        self.wait(&format!("{found}.getAttribute('aria-disabled') !== 'true'"), "true");
        self.click_at(&format!("//button[starts-with(normalize-space(.), '{text}')]"));
    }

    /// Clicks what XPath names.
    pub fn click_at(&self, path: &str) {
        let query = serde_json::json!({ "using": "xpath", "value": path }).to_string();
        let found = self.command("/element", &query);
        let (_, element) = found.split_once("\":{\"").expect("an element");
        let element = after(element, "\":\"");
        self.command(&format!("/element/{element}/click"), "{}");
    }

    /// Waits until the page shows it.
    pub fn wait(&self, expression: &str, value: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.eval(expression);
            if found == value {
                return;
            }
            if Instant::now() > until {
                let page = self.eval("document.body.innerText");
                panic!("{expression} is {found:?} and not {value:?}; the page: {page}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps a picture of the page, if `HEIRLOOM_SCREENSHOTS` names a directory for it.
    pub fn screenshot(&self, name: &str) {
        let Some(dir) = std::env::var_os("HEIRLOOM_SCREENSHOTS") else { return };
        let params = serde_json::json!({ "captureBeyondViewport": true });
        let body =
            serde_json::json!({ "cmd": "Page.captureScreenshot", "params": params }).to_string();
        let reply = self.command("/goog/cdp/execute", &body);
        let image = base64(after(&reply, "\"data\":\""));
        std::fs::write(std::path::Path::new(&dir).join(name), image).expect("a file");
    }
}

/// The browser ends also where a test has failed. Only the driver knows its processes.
impl Drop for Browser {
    fn drop(&mut self) {
        let Browser { port, session, .. } = self;
        if !session.is_empty()
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", *port))
        {
            let _ = stream.set_read_timeout(Some(DEADLINE));
            let _ = write!(
                stream,
                "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
            );
            let _ = stream.read(&mut [0; 64]); // the answer comes when they have ended
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
