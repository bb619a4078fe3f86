//! The node.
mod address;
mod backend;
mod environment;
mod images;
mod logs;
mod low_ports;
mod process;
mod quantity;
