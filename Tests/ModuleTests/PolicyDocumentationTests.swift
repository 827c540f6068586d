import FixedMemory
import Foundation
import LoginPolicy
import Testing

/// The sample of `twofactor.conf`. `scripts/option-tables --check` compares it and the other pages with the code.
@Suite struct PolicyDocumentationTests {
  private static func sample() throws -> String { try page("twofactor.conf") }

  private static func page(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    return try String(contentsOf: root.appending(path: "pam/\(name)"), encoding: .utf8)
  }

  @Test func theServicesThatMayReportHostNamesAreListed() throws {
    let services = (0..<HostNameService.count).compactMap(HostNameService.init(rawValue:)).map { text($0.name.bytes) }
    for (name, mark) in [("options.md", "`"), ("man/pam_twofactor.8", ".Ql ")] {
      let page = try Self.page(name)
      #expect(services.filter { !page.contains(mark + $0) } == [])
      #expect(page.contains("IPv4-mapped"))
    }
  }

  @Test func theSampleSetsNoOption() throws {
    let lines = try Self.sample().split(separator: "\n")
    #expect(lines.allSatisfy { $0.hasPrefix("#") })
  }

  @Test func theSampleIsValidWithEveryOptionUncommented() throws {
    let sample = try Self.sample()
    let uncommented = sample.replacing(/(?m)^#(?=[a-z_]+ = )/, with: "")
    let options = (0..<PolicyOption.count).compactMap(PolicyOption.init(rawValue:))
    #expect(uncommented.matches(of: /(?m)^[a-z_]+ = ./).count == options.filter { $0.place != .arguments }.count)
    for text in [sample, uncommented] {
      var policy = Policy()
      try policy.read(file: buffer(text))
      try policy.check()
    }
  }
}
