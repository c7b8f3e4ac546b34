/*
 * Reads a topic from its beginning to its end with Kafka's own Java client, for a test: proof that somebody else can read
 * what we write. One line a record: partition, offset, key, value, headers (name=value, separated by commas); the last three
 * in base64, "-" for null.
 *
 *   java -cp 'libs/*' ReadTopic.java <brokers> <topic>
 */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

class ReadTopic {
  public static void main(String[] arguments) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    ByteArrayDeserializer bytes = new ByteArrayDeserializer();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      List<TopicPartition> partitions = new ArrayList<>();
      consumer.partitionsFor(arguments[1]).forEach(each -> partitions.add(new TopicPartition(each.topic(), each.partition())));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      long left = consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
      StringBuilder lines = new StringBuilder();
      while (left > 0) {
        for (ConsumerRecord<byte[], byte[]> each : consumer.poll(Duration.ofSeconds(1))) {
          List<String> headers = new ArrayList<>();
          for (Header header : each.headers()) headers.add(header.key() + "=" + text(header.value()));
          String all = String.join(",", headers);
          lines.append(each.partition() + " " + each.offset() + " " + text(each.key()) + " " + text(each.value()) + " " + text(all.getBytes(StandardCharsets.UTF_8)) + "\n");
          left -= 1;
        }
      }
      System.out.print(lines);
    }
  }

  private static String text(byte[] value) {
    return value == null ? "-" : Base64.getEncoder().encodeToString(value);
  }
}
