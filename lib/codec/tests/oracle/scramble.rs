//! The same message in another order of fields, with fields that nobody knows between.

use yagura_codec::pb::{self, Reader, Wire};

/// Which fields of a message are messages.
pub type Shape = fn(u32) -> Option<Child>;

/// The shape of a field's message.
#[derive(Clone, Copy)]
pub struct Child(pub Shape);

/// Numbers that depend on a seed alone (splitmix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 32) as u32
    }
}

pub fn any_value(field: u32) -> Option<Child> {
    match field {
        5 => Some(Child(|field| (field == 1).then_some(Child(any_value)))),
        6 => Some(Child(|field| (field == 1).then_some(Child(key_value)))),
        _ => None,
    }
}

pub fn key_value(field: u32) -> Option<Child> {
    (field == 2).then_some(Child(any_value))
}

pub fn resource(field: u32) -> Option<Child> {
    (field == 1).then_some(Child(key_value))
}

pub fn scope(field: u32) -> Option<Child> {
    (field == 3).then_some(Child(key_value))
}

pub fn scramble(message: &[u8], shape: Shape, rng: &mut Random) -> Vec<u8> {
    let mut fields = split(message, shape, rng);
    let mut numbers: Vec<u32> = fields.iter().map(|(number, _)| *number).collect();
    for index in (1..numbers.len()).rev() {
        numbers.swap(index, below(rng, index + 1));
    }
    let mut out = Vec::new();
    for number in numbers {
        unknown(&mut out, rng);
        // Fields of one number keep their order, which has a meaning.
        let place = fields.iter().position(|(candidate, _)| *candidate == number).unwrap();
        out.extend(fields.remove(place).1);
    }
    unknown(&mut out, rng);
    out
}

fn split(message: &[u8], shape: Shape, rng: &mut Random) -> Vec<(u32, Vec<u8>)> {
    let mut fields = Vec::new();
    let mut reader = Reader::new(message);
    loop {
        let before = reader.rest();
        let Some((number, value)) = reader.next_field().unwrap() else { return fields };
        let raw = &before[..before.len() - reader.rest().len()];
        let bytes = match (value, shape(number)) {
            (Wire::Bytes(child), Some(Child(shape))) => {
                let mut out = Vec::new();
                pb::put_message(&mut out, number, &scramble(child, shape, rng));
                out
            }
            _ => raw.to_vec(),
        };
        fields.push((number, bytes));
    }
}

fn unknown(out: &mut Vec<u8>, rng: &mut Random) {
    let field = 1000 + rng.next() % 3;
    match rng.next() % 12 {
        0 => pb::put_uint(out, field, u64::from(rng.next()) << 20),
        1 => pb::put_fixed64(out, field, u64::from(rng.next())),
        2 => pb::put_message(out, field, b"unknown"),
        3 => {
            pb::put_key(out, field, pb::FIXED32);
            out.extend(rng.next().to_le_bytes());
        }
        4 => {
            // A group, which protobuf had long ago.
            pb::put_key(out, field, 3);
            pb::put_uint(out, 1, 5);
            pb::put_key(out, field, 4);
        }
        _ => {}
    }
}

fn below(rng: &mut Random, limit: usize) -> usize {
    rng.next() as usize % limit
}
