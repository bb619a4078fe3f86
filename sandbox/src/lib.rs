//! The sandbox.

pub mod controllers;
pub mod node;
