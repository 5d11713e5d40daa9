//! The unit test of the echo in `examples`, which `cargo test` would otherwise run only in place of building the
//! program that other tests start.
#![allow(dead_code)] // `main` is not called here

#[path = "../examples/echo/main.rs"]
mod echo;
