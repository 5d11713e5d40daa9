//! Several commands as one: MULTI queues them, EXEC carries them out with nobody else's in between, unless a key
//! that was watched has changed.
//!
//! What is queued and watched is part of the session. So a restart in the middle is none of the client's business:
//! by either engine EXEC does in the new process what it would have done in the old one, also where it says that a
//! key has changed, before the restart or after it. (A failover of Redis ends the connection, and with it the
//! transaction. Here the connection stays, and so has what it was promised.)

use std::mem;

use super::super::session::Transaction;
use super::{Answer, Call, carry_out, find};

pub fn multi(call: &mut Call<'_, '_>) -> Answer {
    if call.session.transaction.is_some() {
        return Err(b"ERR MULTI calls can not be nested".into());
    }
    call.session.transaction = Some(Transaction::default());
    call.out.ok();
    Ok(())
}

pub fn discard(call: &mut Call<'_, '_>) -> Answer {
    if call.session.transaction.take().is_none() {
        return Err(b"ERR DISCARD without MULTI".into());
    }
    unwatch(call)
}

pub fn exec(call: &mut Call<'_, '_>) -> Answer {
    let Some(transaction) = call.session.transaction.take() else {
        return Err(b"ERR EXEC without MULTI".into());
    };
    let has_changed = has_changed(call);
    forget(call);
    if transaction.is_broken {
        return Err(b"EXECABORT Transaction discarded because of previous errors.".into());
    }
    if has_changed {
        call.out.null_array();
        return Ok(());
    }
    call.out.array(transaction.len);
    transaction.each(|args| {
        let (conn, state) = (&mut *call.out.conn, &mut *call.state);
        let mut one = Call::new(args, conn, call.session, state);
        one.out.is_mute |= call.out.is_mute;
        if let Ok(spec) = find(args) {
            carry_out(spec, &mut one);
        }
    });
    Ok(())
}

pub fn watch(call: &mut Call<'_, '_>) -> Answer {
    if call.session.transaction.is_some() {
        return Err(b"ERR WATCH inside MULTI is not allowed".into());
    }
    for key in call.args.from(1) {
        if !call.session.watched.contains_key(key) {
            let is_there = call.state.store.watch(key, call.session.number, call.now);
            call.session.watched.insert(key.to_vec(), is_there);
        }
    }
    call.out.ok();
    Ok(())
}

pub fn unwatch(call: &mut Call<'_, '_>) -> Answer {
    forget(call);
    call.out.ok();
    Ok(())
}

/// Ends all watching. The transaction itself is the caller's business.
pub fn forget(call: &mut Call<'_, '_>) {
    for key in mem::take(&mut call.session.watched).into_keys() {
        call.state.store.unwatch(&key, call.session.number);
    }
}

/// Whether a watched key is not as it was: it was written, or its time is over.
fn has_changed(call: &Call<'_, '_>) -> bool {
    let (store, now) = (&call.state.store, call.now);
    let mut watched = call.session.watched.iter();
    store.watches.is_spoiled(call.session.number)
        || watched.any(|(key, &was_there)| was_there && store.get(key, now).is_none())
}
