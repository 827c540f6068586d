import FixedMemory
import Glibc
import Testing

@Suite struct FixedMemoryTests {
  @Test func textThatDoesNotFitIsCutOff() {
    var text = ByteText(capacity: 4)
    text.append("abc")
    let before = text.isTruncated
    text.append("de")
    let (after, held) = (text.isTruncated, text.string)
    #expect((before, after, held) == (false, true, "abcd"))
    let string = unsafe text.withCString { unsafe String(cString: $0) }
    #expect(string == "abcd")
    text.removeAll()
    let (count, isTruncated) = (text.count, text.isTruncated)
    #expect((count, isTruncated) == (0, false))
  }

  @Test func aTextIsNULTerminatedWithinItsCapacity() {
    let text = ByteText("abc")
    var other = ByteText(capacity: 4)
    other.append(text)
    other.append(text)
    let (held, isTruncated) = (other.string, other.isTruncated)
    #expect(held == "abca" && isTruncated)
    let length = unsafe other.withCString { unsafe strlen($0) }
    #expect(length == 4)
    let copy = unsafe other.withCString { string in unsafe ByteText(cString: string).string }
    #expect(copy == "abca")
  }

  @Test func aTextWithoutMemoryStaysEmpty() {
    var text = ByteText()
    let before = (text.count, text.isTruncated, text.hasMemory)
    #expect(before == (0, false, false))
    let length = unsafe text.withCString { unsafe strlen($0) }
    #expect(length == 0)
    text.append("x")
    text.append(UInt8(ascii: "y"))
    let after = (text.count, text.isTruncated)
    #expect(after == (0, true))
  }

  @Test func aTextOnTheStackHasItsCapacity() {
    for (capacity, expected) in [(-1, ""), (0, ""), (3, "abc"), (1023, "abcdef"), (5000, "abcdef")] {
      var held: String?
      unsafe ByteText.onStack(capacity: capacity) { text in
        text.append("abcdef")
        held = text.string
        if capacity == 5000 {
          for _ in 0..<2000 { text.append(UInt8(ascii: "x")) }
          let (count, isTruncated) = (text.count, text.isTruncated)
          #expect(count == 1023 && isTruncated)
        }
      }
      #expect(held == expected)
    }
  }

  @Test func aLiteralIsACString() {
    let (length, empty) = unsafe (strlen(Literal("credential").cString), strlen(Literal("").cString))
    #expect((length, empty) == (10, 0))
  }

  @Test(arguments: [Int64.min, -1, 0, 7, 10, 1_234_567_890, .max])
  func numbersAreWrittenInDecimal(value: Int64) {
    var text = ByteText(capacity: 31)
    text.append(decimal: value)
    #expect(text.string == String(value))
    var unsigned = ByteText(capacity: 31)
    unsigned.append(decimal: UInt64(bitPattern: value))
    #expect(unsigned.string == String(UInt64(bitPattern: value)))
  }

  @Test(
    arguments: [
      ("0", 0), ("7", 7), ("18446744073709551615", UInt64.max), ("", nil), ("00", nil), ("01", nil), ("+1", nil),
      ("12345678", 12_345_678), ("1234567890123456", 1_234_567_890_123_456),
      ("12345678901234567", 12_345_678_901_234_567),
      ("1234567a", nil), ("a2345678", nil), ("1234567/", nil), ("123:5678", nil), ("12345678901234:6", nil),
      ("-1", nil), (" 1", nil), ("1 ", nil), ("18446744073709551616", nil), ("99999999999999999999", nil), ("1x", nil),
    ] as [(String, UInt64?)])
  func onlyCanonicalNumbersAreParsed(text: String, expected: UInt64?) {
    #expect(decimal(text, upTo: .max) == expected)
  }

  @Test func aNumberAboveTheLimitIsRejected() {
    #expect(decimal("10", upTo: 10) == 10)
    #expect(decimal("11", upTo: 10) == nil)
  }

  private func decimal(_ text: String, upTo limit: UInt64) -> UInt64? {
    Array(text.utf8).span.decimal(upTo: limit)
  }

  @Test func aSliceIsClampedToTheBounds() {
    let bytes = Array("abcdef".utf8)
    for (start, end, expected) in [
      (0, 6, "abcdef"), (2, 4, "cd"), (-5, 3, "abc"), (4, 99, "ef"), (5, 2, ""), (99, 200, ""),
      (Int.min, Int.max, "abcdef"),
      (Int.max, Int.min, ""),
    ] {
      let slice = text(bytes.span.slice(from: start, to: end))
      #expect(slice == expected)
    }
    let (before, last, behind) = (bytes.span.byte(at: -1), bytes.span.byte(at: 5), bytes.span.byte(at: 6))
    #expect(before == nil)
    #expect(last == UInt8(ascii: "f"))
    #expect(behind == nil)
  }

  @Test func comparisonInConstantTimeDetectsEveryDifference() {
    let bytes = Array("123456".utf8)
    #expect(isEqual(bytes, bytes))
    for index in bytes.indices {
      for bit in 0..<8 {
        var other = bytes
        other[index] ^= 1 << bit
        #expect(!isEqual(bytes, other))
      }
    }
    #expect(!isEqual(bytes, Array("12345".utf8)))
  }

  private func isEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    one.span.isEqualInConstantTime(to: other.span)
  }

  @Test func aBufferRejectsBytesBeyondItsCapacity() throws {
    guard var buffer = SecretBuffer(capacity: 3) else { throw Missing(what: "memory") }
    let takes = buffer.append("abc")
    let takesMore = buffer.append(UInt8(ascii: "d"))
    #expect(takes)
    #expect(!takesMore)
    let held = text(buffer.bytes)
    #expect(held == "abc")
    buffer.removeAll()
    let isEmpty = buffer.bytes.isEmpty
    #expect(isEmpty)
  }

  @Test func removingAllOverwritesABuffer() throws {
    guard var buffer = SecretBuffer(capacity: 64), buffer.append("a secret that must not stay") else {
      throw Missing(what: "memory")
    }
    buffer.removeAll()
    let left = unsafe buffer.withMemory { memory in
      unsafe UnsafeRawBufferPointer(start: memory, count: 64).filter { $0 != 0 }.count
    }
    #expect(left == 0)
  }

  @Test func aReleasedBufferIsOverwritten() throws {
    let secret = [UInt8](repeating: 0xA5, count: 4096)
    // Allocated first, because it could get the released memory.
    var left = [UInt8](repeating: 0, count: secret.count)
    var address = 0
    do {
      let released = try buffer(secret)
      address = unsafe released.withMemory { Int(bitPattern: $0) }
    }
    // Reading /proc/self/mem is defined for released memory; loading from it is not.
    let memory = unsafe open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
    defer { close(memory) }
    let count = unsafe pread(memory, &left, left.count, off_t(address))
    try #require(count == left.count)
    #expect(left.filter { $0 == 0xA5 }.count < left.count / 2)
  }

  @Test func aFillBeyondTheFreeMemoryAppendsNothing() throws {
    guard var buffer = SecretBuffer(capacity: 4) else { throw Missing(what: "memory") }
    for answer in [-1, 5, Int.max] {
      let returned = unsafe buffer.fill { _ in answer }
      let count = buffer.count
      #expect(returned == answer)
      #expect(count == 0)
    }
  }

  @Test func aCounterCountsAndNeverTraps() {
    for (end, expected) in [(3, [0, 1, 2]), (0, []), (-1, []), (Int.min, [])] {
      var counter = Counter(to: end)
      var numbers: [Int] = []
      while let number = counter.next() { numbers.append(number) }
      #expect(numbers == expected)
    }
  }

  @Test func aBufferRepeatsItsContentIfItFits() throws {
    guard var buffer = SecretBuffer(capacity: 6), buffer.append("ab") else { throw Missing(what: "memory") }
    let fits = buffer.repeatContent()
    let fitsAgain = buffer.repeatContent()
    let held = text(buffer.bytes)
    #expect(fits && !fitsAgain && held == "abab")
  }

  @Test func onlyAppendedElementsAreFound() throws {
    guard var elements = ElementBuffer<UInt32>(capacity: 2) else { throw Missing(what: "memory") }
    let added = [elements.append(7), elements.append(8), elements.append(9)]
    let found = [Int.min, -1, 0, 1, 2, Int.max].map { elements[$0] }
    let count = elements.count
    #expect(added == [true, true, false])
    #expect(found == [nil, nil, 7, 8, nil, nil])
    #expect(count == 2)
  }
}
