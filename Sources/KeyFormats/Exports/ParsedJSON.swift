internal import CJansson
import FixedMemory

/// A value of a JSON text (RFC 8259), parsed by libjansson.
@safe final class ParsedJSON {
  /// In bytes. libjansson needs up to 80 times as much memory.
  private static let longest = 1 << 24

  // SAFETY: this is a reference of libjansson's; the value lives at least until `deinit`.
  private let value: UnsafeMutablePointer<json_t>

  /// Takes over a reference.
  // SAFETY: the caller owns it.
  private init(owning value: UnsafeMutablePointer<json_t>) { unsafe self.value = value }

  // SAFETY: releases the reference.
  deinit { unsafe json_decref(value) }

  /// Parses a text whose root is an object or an array. Rejects repeated names, numbers beyond 64 bits, and more than
  /// 2,048 levels.
  ///
  /// - Throws: ``MissingLibrary``, or a ``FormatProblem``.
  init(parsing text: Span<UInt8>) throws {
    guard cjansson_is_available() != 0 else { throw MissingLibrary.jansson }
    guard text.count <= Self.longest else { throw FormatProblem("it is longer than 16 MB") }
    var error = json_error_t()
    // SAFETY: the function reads `count` bytes, and returns a new reference or null.
    let parsed = unsafe text.withUnsafeBytes { bytes in
      unsafe json_loadb(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, Int(JSON_REJECT_DUPLICATES), &error)
    }
    guard let parsed = unsafe parsed else { throw Self.problem(error) }
    unsafe value = parsed
  }

  /// libjansson's own message quotes the text.
  private static func problem(_ error: json_error_t) -> FormatProblem {
    // SAFETY: the function reads the error alone.
    let reason = unsafe withUnsafePointer(to: error) { unsafe cjansson_reason($0) }
    let message =
      switch reason {
      case json_error_out_of_memory: "out of memory"
      case json_error_premature_end_of_input: "it is truncated"
      case json_error_duplicate_key: "the same name is twice in an object"
      case json_error_numeric_overflow: "it contains a number that is out of range"
      case json_error_stack_overflow: "it has too many levels"
      default: "it is not valid JSON"
      }
    return FormatProblem(line: error.line > 0 ? Int(error.line) : nil, message)
  }

  /// A member of an object; nil if it is absent or null, or this is no object.
  subscript(_ name: String) -> ParsedJSON? {
    // SAFETY: the name is NUL-terminated; the object owns the member.
    withExtendedLifetime(self) { unsafe Self.retained(json_object_get(value, name)) }
  }

  /// The names of an object's members; none if this is no object.
  var names: [String] {
    withExtendedLifetime(self) {
      var names: [String] = []
      // SAFETY: the object owns its members and their names, which are NUL-terminated.
      var member = unsafe json_object_iter(value)
      while let current = unsafe member, let name = unsafe json_object_iter_key(current) {
        unsafe names.append(String(cString: name))
        unsafe member = json_object_iter_next(value, current)
      }
      return names
    }
  }

  /// The elements of an array, without nulls; nil if this is no array.
  var elements: [ParsedJSON]? {
    guard has(JSON_ARRAY) else { return nil }
    return withExtendedLifetime(self) {
      // SAFETY: the indices are below the size; the array owns the elements.
      unsafe (0..<json_array_size(value)).compactMap { unsafe Self.retained(json_array_get(value, $0)) }
    }
  }

  /// The value of an integer without fraction and exponent; nil otherwise.
  var integer: Int64? {
    guard has(JSON_INTEGER) else { return nil }
    // SAFETY: the value lives.
    return withExtendedLifetime(self) { unsafe json_integer_value(value) }
  }

  var isTrue: Bool { has(JSON_TRUE) }

  var isText: Bool { has(JSON_STRING) }

  private func has(_ type: json_type) -> Bool {
    // SAFETY: the value lives.
    withExtendedLifetime(self) { unsafe value.pointee.type == type }
  }

  /// Nil if this is no text.
  var text: String? { isText ? withText { $0.text(0..<$0.count) } : nil }

  /// Lends the bytes of a text; none if this is no text.
  func withText<Result, Failure>(_ body: (Span<UInt8>) throws(Failure) -> Result) throws(Failure) -> Result {
    try withExtendedLifetime(self) { () throws(Failure) in
      // SAFETY: the text has this length, and lives as long as the value.
      let bytes = unsafe UnsafeRawBufferPointer(start: json_string_value(value), count: json_string_length(value))
      return try unsafe body(bytes.bindMemory(to: UInt8.self).span)
    }
  }

  private static func retained(_ value: UnsafeMutablePointer<json_t>?) -> ParsedJSON? {
    // SAFETY: the caller's value lives.
    guard let value = unsafe value, unsafe value.pointee.type != JSON_NULL else { return nil }
    return unsafe ParsedJSON(owning: json_incref(value))
  }
}
