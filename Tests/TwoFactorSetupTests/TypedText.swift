import Enrollment
import FixedMemory
import OneTimePassword
import SystemFiles

@testable import TwoFactorSetup

/// A precondition of a test that does not hold.
struct Missing: Error {
  let what: String
}

/// A typed line.
func typed(_ text: String) throws -> SecretBuffer {
  guard var line = SecretBuffer(capacity: 512), line.append(text.utf8.span) else { throw Missing(what: "memory") }
  return line
}

/// The current code for a key in Base32.
func currentCode(key: String) throws -> String {
  guard var secret = SecretBuffer(capacity: 64), Base32.decode(key.utf8.span, into: &secret),
    let shared = SharedSecret(secret.bytes, algorithm: .sha1), let step = TimeStep(at: SystemClock.now, period: 30)
  else { throw Missing(what: "key") }
  let digits = String(shared.code(at: step.rawValue, digits: .six) ?? .max)
  return String(repeating: "0", count: 6 - digits.count) + digits
}
