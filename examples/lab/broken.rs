//! What a new generation of the lab does wrong on request. Knows no server.

use std::{env, fs, path::Path, process, thread, time::Duration};

use nix::sys::signal::{Signal, raise};

/// What a new generation is to do wrong, while the file is there.
pub fn told() -> Option<String> {
    let path = env::var("LAB_BROKEN").ok()?;
    fs::read_to_string(Path::new(&path)).ok().map(|text| text.trim().to_owned())
}

/// What a new program does instead of serving.
pub fn break_if_told() {
    let is_check = env::args().any(|arg| arg == "--check");
    let is_heir = env::var_os("HEIRLOOM_LINK").is_some();
    match told().as_deref() {
        Some("check") if is_check => {
            eprintln!("lab: line 7 of the configuration is wrong");
            process::exit(4);
        }
        Some("exit") if is_heir => {
            eprintln!("lab: the configuration is broken");
            process::exit(3);
        }
        Some("hang") if is_heir => thread::sleep(Duration::from_secs(3600)),
        Some("panic") if is_heir => panic!("lab: as told"),
        Some("stop") if is_heir => raise(Signal::SIGSTOP).expect("a stop"),
        _ => {}
    }
}
