//! MONITOR: every command is shown to whoever has asked for it, when it is carried out; so EXEC comes behind what
//! it has brought about.

use std::{fmt::Write, rc::Rc};

use heirloom::Peer;

use super::{
    Answer, Call, Capitals,
    listen::send,
    table::{ADMIN, Spec},
};

pub fn monitor(call: &mut Call<'_, '_>) -> Answer {
    call.session.is_monitor = true;
    call.state.monitors.insert(call.out.conn.id());
    call.out.ok();
    Ok(())
}

/// Nearly always there is nobody to be shown it.
pub fn show(spec: &Spec, call: &mut Call<'_, '_>) {
    if call.state.monitors.is_empty() || spec.is(ADMIN) {
        return;
    }
    let line: Rc<[u8]> = line(call).into_bytes().into();
    for &id in &call.state.monitors {
        send(call.out.conn, id, &line);
    }
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "set" "x" "y"`
fn line(call: &Call<'_, '_>) -> String {
    let (seconds, micros) = call.state.wall.seconds(call.now);
    let peer = address(call.out.conn.peer());
    let mut line = format!("+{seconds}.{micros:06} [0 {peer}]");
    let is_hello = Capitals::of(call.args.at(0)).as_bytes() == b"HELLO";
    let mut secrets = 0;
    for arg in call.args.from(0) {
        if secrets > 0 {
            secrets -= 1;
            line.push_str(" \"(redacted)\"");
            continue;
        }
        if is_hello && arg.eq_ignore_ascii_case(b"auth") {
            secrets = 2;
        }
        let _ = write!(line, " {}", quoted(arg)); // a String takes it all
    }
    line.push_str("\r\n");
    line
}

/// As lists show it.
pub fn address(peer: &Peer) -> String {
    match peer {
        Peer::Tcp(address) => address.to_string(),
        _ => "/unix:0".to_owned(),
    }
}

/// In quotes, with what cannot be printed escaped.
fn quoted(text: &[u8]) -> String {
    let mut out = String::from('"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend(['\\', byte.into()]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b' '..=b'~' => out.push(byte.into()),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}
