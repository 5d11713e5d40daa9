//! Who ends how: destructors, `on_end` and what follows `run` in `main` leave a line each in the file that
//! `LAB_WITNESS` names, `PID WORD`. Knows no request.

use std::{env, fs::OpenOptions, io::Write, net::TcpStream, process};

/// Writes down that it is dropped, under its name; nothing, if it has none.
#[derive(Debug, Default)]
pub struct Witness {
    name: Option<&'static str>,
    /// Whom it says goodbye to, as a database client does.
    wire: Option<TcpStream>,
}

impl Witness {
    pub fn of(name: &'static str) -> Witness {
        Witness { name: Some(name), wire: None }
    }

    /// One that is a client of `LAB_WIRE` as well, if there is such a server.
    pub fn with_wire(name: &'static str) -> Witness {
        let address = env::var("LAB_WIRE").ok();
        let wire =
            address.map(|address| TcpStream::connect(address).expect("a server at LAB_WIRE"));
        Witness { name: Some(name), wire }
    }

    /// Says something to the server at the other end.
    pub fn say(&mut self, text: &str) {
        if let Some(wire) = &mut self.wire {
            let _ = writeln!(wire, "{text}"); // it may be gone by now
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.name.into_iter().for_each(note);
        self.say("goodbye");
    }
}

/// Writes a word down, with the process that it comes from.
pub fn note(word: &str) {
    let Some(path) = env::var_os("LAB_WITNESS") else { return };
    let file = OpenOptions::new().append(true).create(true).open(path);
    let line = format!("{} {word}\n", process::id());
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a file for the lab");
}
