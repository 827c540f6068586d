public import FixedMemory

/// The hash function of an HMAC (RFC 4226, RFC 6238 section 1.2).
public enum HashAlgorithm: UInt8, BitwiseCopyable, Sendable {
  case sha1
  case sha256
  case sha512

  /// In bytes.
  public var digestLength: Int {
    switch self {
    case .sha1: 20
    case .sha256: 32
    case .sha512: 64
    }
  }

  /// In bytes; HMAC pads a key to it (RFC 2104 section 2).
  public var blockLength: Int {
    switch self {
    case .sha1, .sha256: 64
    case .sha512: 128
    }
  }

  static var longestDigest: Int { 64 }
  static var longestBlock: Int { 128 }

  /// The name in credentials and on the command line.
  public var name: Literal {
    switch self {
    case .sha1: "sha1"
    case .sha256: "sha256"
    case .sha512: "sha512"
    }
  }
}
