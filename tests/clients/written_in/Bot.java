// A program with the URL of the real service written in: java Bot.java
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

class Bot {
  static final String URL = "https://api.cometapi.com/v1/videos";
  static final HttpClient CLIENT = HttpClient.newHttpClient();

  static String ask(HttpRequest.Builder request) throws Exception {
    request.header("Authorization", "Bearer " + System.getenv("COMETAPI_KEY"));
    return CLIENT.send(request.build(), BodyHandlers.ofString()).body();
  }

  static String field(String name, String json) {
    var match = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
    return match.find() ? match.group(1) : "";
  }

  public static void main(String[] arguments) throws Exception {
    var create = HttpRequest.newBuilder(URI.create(URL)).header("Content-Type", "application/x-www-form-urlencoded");
    var answer = ask(create.POST(HttpRequest.BodyPublishers.ofString("prompt=A+paper+kite.")));
    var id = field("id", answer);
    while (field("status", answer).matches("queued|in_progress")) {
      Thread.sleep(50);
      answer = ask(HttpRequest.newBuilder(URI.create(URL + "/" + id)));
    }
    System.out.println(field("status", answer));
  }
}
