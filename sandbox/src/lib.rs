//! The sandbox.

pub mod builtin;
pub mod controllers;
pub mod node;
