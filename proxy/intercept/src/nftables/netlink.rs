//! Netlink's framing: messages with a header, and attributes that may hold attributes. Numbers of the framing are in the machine's byte
//! order, those in nftables' attributes in the network's.

/// Length of a message's header.
pub(super) const HEADER: usize = 16;

/// Where a message's flags are.
const FLAGS: usize = 6;

/// Length of the header that netfilter's messages have after it.
const NETFILTER_HEADER: usize = 4;

/// Marks an attribute that holds others.
const NESTED: u16 = 0x8000;

/// Messages in one buffer.
#[derive(Debug, Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    /// Where the last message begins.
    last: usize,
    sequence: u32,
}

/// The attributes of a message.
pub(super) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

/// One message of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// What kind of message it is.
    pub(super) kind: u16,
    /// Which request it answers.
    pub(super) sequence: u32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

// === impl Messages ===

impl Messages {
    /// Adds a message of netfilter; gives its sequence number.
    pub(super) fn add(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        attributes: impl FnOnce(&mut Attributes<'_>),
    ) -> u32 {
        self.sequence += 1;
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        // The sender; the kernel knows.
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        attributes(&mut Attributes {
            bytes: &mut self.bytes,
        });
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        write(&mut self.bytes, start, &length.to_ne_bytes());
        self.sequence
    }

    /// Has the last message answered when all is done; gives its sequence number.
    pub(super) fn acknowledge(&mut self) -> u32 {
        const ACKNOWLEDGE: u16 = 0x4;
        let at = self.last + FLAGS;
        let flags = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        let flags = flags.copied().map(u16::from_ne_bytes).unwrap_or_default();
        write(&mut self.bytes, at, &(flags | ACKNOWLEDGE).to_ne_bytes());
        self.sequence
    }

    /// The bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

// === impl Attributes ===

impl Attributes<'_> {
    /// An attribute of bytes.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |bytes| bytes.extend(value));
    }

    /// A text, ended by a zero as the kernel wants it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |bytes| {
            bytes.extend(value.as_bytes());
            bytes.push(0);
        });
    }

    /// A number.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An attribute that holds others.
    pub(super) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Attributes<'_>)) {
        self.attribute(kind | NESTED, |bytes| inner(&mut Attributes { bytes }));
    }

    fn attribute(&mut self, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        value(self.bytes);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        write(self.bytes, start, &length.to_ne_bytes());
        // Each begins at a multiple of four.
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

/// The messages in what was received. A malformed rest is left out.
pub(super) fn received(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = bytes.get(..length)?;
        let body = message.get(HEADER..)?;
        let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind,
            sequence,
            body,
        })
    })
}

/// The text of an attribute in the body of one of netfilter's messages.
pub(super) fn text_of(body: &[u8], kind: u16) -> Option<&str> {
    let mut rest = body.get(NETFILTER_HEADER..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let found = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..length)?;
        if found == kind {
            let text = value.split(|byte| *byte == 0).next()?;
            return std::str::from_utf8(text).ok();
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}
