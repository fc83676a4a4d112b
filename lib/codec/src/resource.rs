//! What the three signals have in common: the resource that tells, and the scope in it.

use crate::{
    Attributes, DecodeError,
    attributes::Finder,
    pb::{self, Reader, Wire},
};

/// Who a part of a request is about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resource<'a> {
    /// The encoded `Resource` message, to be hashed or passed on.
    pub raw: &'a [u8],
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> Resource<'a> {
    /// Reads a `Resource` message.
    pub fn parse(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut finder = Finder::new(raw, 1);
        let mut reader = Reader::new(raw);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((1, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some(_) => {}
                None => return Ok(Self { raw, attributes: finder.attributes() }),
            }
        }
    }
}

/// Which library or part of a program tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scope<'a> {
    /// The encoded `InstrumentationScope` message.
    pub raw: &'a [u8],
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> Scope<'a> {
    /// Reads an `InstrumentationScope` message.
    pub fn parse(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut scope = Self { raw, ..Self::default() };
        let mut finder = Finder::new(raw, 3);
        let mut reader = Reader::new(raw);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((1, Wire::Bytes(bytes))) => scope.name = pb::text(bytes)?,
                Some((2, Wire::Bytes(bytes))) => scope.version = pb::text(bytes)?,
                Some((3, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some(_) => {}
                None => return Ok(Self { attributes: finder.attributes(), ..scope }),
            }
        }
    }
}

/// Field 1 of `message`, or nothing: where the resource and the scope stand in all three signals.
pub(crate) fn head(message: &[u8]) -> Result<&[u8], DecodeError> {
    Ok(Reader::new(message).next_bytes(1)?.unwrap_or_default())
}
