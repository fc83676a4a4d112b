//! The number that tells a kept batch from its second delivery.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use yagura_codec::{attributes::ResourceAttributes, pb};
use yagura_model::delivery::{QUEUE, SEQUENCE};

/// The queue of this run of the agent, and the number of its last batch.
#[derive(Debug)]
pub(super) struct Numbers {
    queue: String,
    last: AtomicU64,
}

impl Numbers {
    /// A queue that never was before: `owner` (the node's name) and 64 random bits.
    pub(super) fn new(owner: &str) -> Self {
        // Every RandomState has keys of its own from the system's randomness.
        let random = RandomState::new().build_hasher().finish();
        Self { queue: format!("{owner}/{random:016x}"), last: AtomicU64::new(0) }
    }

    /// `body` with the next number. The number stands in a resource of its own in front of the others, so that their
    /// bytes stay the same from batch to batch, which lets a store recognise them by a hash.
    pub(super) fn stamp(&self, body: &[u8]) -> Bytes {
        let sequence = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut attributes = ResourceAttributes::new();
        attributes.put_str(QUEUE, &self.queue);
        attributes.put_int(SEQUENCE, i64::try_from(sequence).unwrap_or(i64::MAX));
        // ExportMetricsServiceRequest, its logs and its traces sibling agree in these two field numbers.
        let mut resource = Vec::new();
        pb::put_message(&mut resource, 1, attributes.as_bytes());
        let mut stamped = Vec::with_capacity(resource.len() + body.len() + 8);
        pb::put_message(&mut stamped, 1, &resource);
        stamped.extend_from_slice(body);
        stamped.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message as _;

    #[test]
    fn the_number_stands_in_front_and_the_rest_stays_as_it_was() {
        let body = ExportLogsServiceRequest { resource_logs: vec![Default::default()] }.encode_to_vec();
        let numbers = Numbers::new("n1");
        for expected in 1..=2 {
            let stamped = numbers.stamp(&body);
            assert!(stamped.ends_with(&body));
            let read = ExportLogsServiceRequest::decode(stamped).unwrap();
            let attributes = &read.resource_logs[0].resource.as_ref().unwrap().attributes;
            assert_eq!((attributes[0].key.as_str(), attributes[1].key.as_str()), (QUEUE, SEQUENCE));
            assert!(format!("{:?}", attributes[0].value).contains("n1/"));
            assert!(format!("{:?}", attributes[1].value).contains(&format!("IntValue({expected})")));
            assert_eq!(read.resource_logs.len(), 2);
        }
    }

    #[test]
    fn a_restarted_agent_has_another_queue() {
        assert_ne!(Numbers::new("n1").queue, Numbers::new("n1").queue);
    }
}
