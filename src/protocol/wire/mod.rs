//! Bytes to fields and fields to bytes, common to all packets.

mod varint;
mod header;
mod reader;
mod writer;
mod properties;

pub use header::FixedHeader;
pub use properties::{PropertyReader, PropertyWriter};
pub use reader::Reader;
pub use writer::{Body, Detail, Form, Writer, encoded_len, packet_len, write_packet};
