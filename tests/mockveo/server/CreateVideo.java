// Creates a video with Java's HttpClient as it comes, which offers HTTP/2 by an upgrade. Prints status and body.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class CreateVideo {
    public static void main(String[] arguments) throws Exception {
        String form = "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nA paper kite.\r\n--b--\r\n";
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/videos"))
            .header("Authorization", "Bearer k")
            .header("Content-Type", "multipart/form-data; boundary=b")
            .POST(HttpRequest.BodyPublishers.ofString(form))
            .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
